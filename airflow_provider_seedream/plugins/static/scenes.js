// The scenes of a prompt in the vendor's convention: "2 images. First, … Second, …", as publishing reads them.

const ORDINALS =
  "First Second Third Fourth Fifth Sixth Seventh Eighth Ninth Tenth Eleventh Twelfth Thirteenth Fourteenth Fifteenth".split(" ");
const MARK = new RegExp(`(?:^|(?<=[.!?…;:)\\]"'”’\\n]))\\s*(${ORDINALS.join("|")})\\s*[,:]\\s+`, "gi");
const REPEATED = /(?:^|(?<=[.!?…)\]"'”’])) ?(?:Characters|Style): /;

const words = (text) => String(text ?? "").split(/\s+/).filter(Boolean).join(" ");

function caption(text) {
  const own = words(text).split(REPEATED)[0].trim();
  return own.endsWith(".") && !own.endsWith("..") ? own.slice(0, -1) : own;
}

// The scenes in order; none where they cannot be separated, or are not as many as were requested.
export function scenesOf(prompt, requested) {
  const marks = [...String(prompt ?? "").matchAll(MARK)];
  const inOrder = marks.every((mark, at) => mark[1].toLowerCase() === ORDINALS[at]?.toLowerCase());
  if (!inOrder || marks.length !== (requested ?? Math.max(marks.length, 2))) return [];
  const scenes = marks.map((mark, at) => caption(prompt.slice(mark.index + mark[0].length, marks[at + 1]?.index)));
  return scenes.every(Boolean) ? scenes : [];
}

// The number and the scene of each image, as ImageSet of the provider gives them.
export function numbered(set) {
  const images = set.images ?? [];
  const isNumbered = images.every((image) => Number.isInteger(image.index));
  const scenes = scenesOf(set.prompt, set.requested);
  const known = scenes.length && (isNumbered || scenes.length === images.length);
  const single = images.length === 1 && set.requested === 1 ? words(set.prompt) : null;
  return images.map((image, at) => {
    const number = isNumbered ? image.index : at + 1;
    return { ...image, at, number, scene: (known ? scenes[number - 1] : null) ?? single };
  });
}
