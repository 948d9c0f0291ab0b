// Light or dark as Airflow shows itself: by a class of the page around this frame; alone, as the system wishes.

function ofAirflow() {
  try {
    return parent === window ? null : parent.document.documentElement;
  } catch {
    return null;
  }
}

export function followTheme() {
  const outer = ofAirflow();
  if (!outer) return;
  const apply = () => {
    const theme = ["dark", "light"].find((each) => outer.classList.contains(each));
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  apply();
  new MutationObserver(apply).observe(outer, { attributeFilter: ["class"] });
}
