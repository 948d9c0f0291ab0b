"""How many images a free text asks for. Three answers: a certain count, an unsure one, none.

Certain is what opens the text: a count as the vendor writes it ("4 images. ...", "生成4张图片：..."), or a list of
scenes. A number further on is unsure where it may count images of the set, and none where it belongs to something
else: a name ("iPhone 15 photos"), the layout of one image ("three images in one frame"), a thing in the scene ("a
wall with 12 photos"). The structure decides: a number, up to a few words, a noun, and what stands around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from unicodedata import numeric

from airflow_provider_seedream.wavespeed.prompt import ORDINALS

_ENGLISH = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
_ENGLISH += " sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: number for number, word in enumerate(_ENGLISH.split())}
NUMBER_WORDS |= {word: number * 10 for number, word in enumerate(_TENS.split(), start=2)}
NUMBER_WORDS |= {"dozen": 12, "half": 6}
# From two on, of the languages that most prompts are written in.
_FOREIGN = (
    "dos tres cuatro cinco seis siete ocho nueve diez|deux trois quatre cinq six sept huit neuf dix|два|"
    "zwei drei vier fünf sechs sieben acht neun zehn|due tre quattro cinque sei sette otto nove dieci|"
    "dois três quatro cinco seis sete oito nove dez|duas три четыре пять шесть семь восемь девять десять"
)
_ASIAN = "两 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五|二|兩|俩|두 세 네 다섯 여섯 일곱 여덟 아홉 열"
_WORDS = f"{_FOREIGN}|{_ASIAN}".split("|")
_VALUES = {word: number for words in _WORDS for number, word in enumerate(words.split(), start=2)}
_VALUES |= {"две": 2, "один": 1, "一": 1} | NUMBER_WORDS

IMAGE_NOUNS = "image|img|illustration|picture|pic|photo|photograph"
"""English words for an image, as a pattern; each may have a plural s."""

# Rarely a thing within a scene, as photos and posters often are.
_IMAGE = "images|imgs|imágenes|imagenes|imagens|immagini|bildern?|изображени[йя]"
_PHOTO = (
    f"(?:{IMAGE_NOUNS})s|fotos?|fotografías|fotografias|ilustraciones|ilustrações|illustrationen|illustrazioni|"
    "dibujos|desenhos|disegni|dessins|zeichnungen|картин(?:ки|ок)|фото(?:графи[ий])?|рисун(?:ка|ков)|иллюстраци[ий]"
)
# What else a set can be of; as often, parts of one image.
_WORK = (
    "(?:scene|shot|poster|variation|variant|version|portrait|drawing|painting|sketche?|render|wallpaper|logo|banner|"
    "slide|design|artwork|visual|frame|panel|sticker|icon|screenshot|thumbnail|avatar|storyboard|option|cover|page|card|file|headshot|selfie|flyer|meme|infographic|graphic|mock-?up|still|close-?up|snapshot|background|"
    "watercolou?r|view|output|angle|result|scène|affiche|escena|cartele?|cena|variante|retrato|fotograma|motive?|motivo)s|motive|szenen|varianten|plakate|versiones|versionen|versões|верси[ийя]|"
    "scene(?=\\s(?:di|con|del|della)\\b)|(?:part|slide|page|scene|card|shot)(?=\\s(?:\\w+\\s)?(?:story|storyboard|series|sequence|carousel)\\b)|manifesti|сцен[ыа]?|постер(?:а|ов)|плаката?(?:ов)?"
)
_CJK_IMAGE = "图片|图像|图(?![像标形案层例书鉴表])|圖|画像|이미지"
_CJK_PHOTO = "照片|相片|[件身]照|自拍|[画畫](?![面布作笔框])|插画|海报|图标|表情包|贴纸|头像|壁纸|封面|分镜|写真|イラスト|絵|사진|그림|일러스트"
# One image, and what stands before it.
_ONE_IMAGE = f"(?:{IMAGE_NOUNS}|poster|drawing|painting|version|imagen|imagem|immagine|bild|foto|картинк[аеу]|изображение)"
_AN = r"(?:an?|one|una?|une|uma|eine?n?|по)"
# What 张 counts, too.
_TABLES = "[桌床扑椅脸纸嘴网票牌卡名目]"
_MAKE = (
    r"\b(?:generate|create|make|draw|produce|render|paint|design|illustrate|give|show|output|deliver|want|need|provide|"
    "genera|crea|dibuja|haz|génère|crée|dessine|erstelle|generiere|zeichne|gere|crie|disegna|создай|сгенерируй|"
    r"нарисуй|сделай)\b|生成|[画畫]|绘制|创作|[制製]作|设计|创建|输出|产出|需要|要|做|来|出(?=\s?[\d一二两俩三四五六七八九十]|\Z)"
)
# Such verbs of the languages that have them at the end.
_MADE = "生成|作|描|撮|出力|用意|ください|お願い|만들|그려|생성|제작|부탁"
_SET = "series|set|sequence|collection|batch|carousel"
# What may stand before the number of a whole prompt, besides such a verb.
_FILL = (
    rf"\b(?:please|can|could|you|me|us|i'd|we'd|i|we|would|like|to|a|an|of|exactly|only|just|up|total|here|are|is|let|have|love|see|{_SET}|"
    r"consisting|bitte|por|favor|una|serie|de|une|série|eine|von|uma|un)\b|[请請]|[帮幫]|[给給]|为|我|想|一[组套个個份本]|一?系列|[组組][图圖]|共|总|包含|并|以|连续|"
    r"参考图片?\s*\d*"
)
_NOT_BETWEEN = (
    r"\d+(?![:\d])|in|on|with|for|at|from|by|to|of|the|is|are|as|into|using|having|without|no|holding|taking|showing|wearing|looking|containing|per|each|"
    "every|this|that|these|his|her|their|its|my|your|or|than|reference|uploaded|attached|input|source"
)
_FOREIGN_LINKS = "an?|una?|uma?|eine?|con|com|mit|avec|de|di|von|auf|sur|sobre|на|с"
# One image that holds several: what it is called, and how they stand in it.
_GRID = (
    r"(?:grid|collage|montage|mosaic|triptych|diptych|split[\s-]?screen|contact[\s-]sheet|mood ?board|infogr[aá]\w+|bento|colagem|cuadrícula|"
    r"comic (?:strip|page)|(?:sticker|character|reference) sheet)s?"
)
_ARRANGED = (
    r"\b(?:side[\s-]by[\s-]side|(?:double|multiple) exposure|(?:divided|split) into|be arranged in (?:an? )?(?:row|line|column)|"
    r"arranged in order|(?:overlay|blend|composite) of|\w+-panel|[a-z]+ panel (?:comic|layout|manga|grid|page|poster|sheet|story|strip)|"
    r"(?:in|into|as) (?:one|a single|the same)|(?:one|single)[ -](?:\S{1,30} ){0,2}(?:image|frame|canvas|page|sheet)(?! (?:per|each|for))|"
    r"[2-9]\s?[x×]\s?[2-9]|(?:une|una|uma) (?:sola |seule |única )?p[aá]g(?:e|ina)|p[aá]gina (?:única|unica|singola)|einseitig\w*)\b"
    r"|并排|垂直排列|按顺序排列|宫格|[二三四五六七八九\d]\s?格(?=漫|故|的)|拼图|拼贴|拼接|同一画面|(?<![每各])一[张張幅]图|分屏(?!显)|长图(?!书)|信息图|网格(?![墙窗状纹])|布局|コラージュ|グリッド|콜라주|그리드"
)
# What may say that the whole is one image; beside a count it makes that unsure.
_ALONE = r"\bone (?:\S{1,30} ){0,2}(?:picture|photo|poster|illustration)\b(?! (?:per|each|for))|(?<![每各])一[张張幅](?:照|海报)"
_PLACES = "|".join(ORDINALS)
_LABELS = (
    "scene|image|picture|photo|shot|frame|panel|slide|prompt|bild|szene|escena|imagen|scène|cena|imagem|scena|immagine|сцена|кадр|"
    "シーン|コマ|컷|画像|장면|이미지|场景|場景|画面|镜头|分镜|图片?|圖片?|第"
)
# Places that are written as a word, a letter or a Roman number: "Scene two", "Scene B", "Scene II".
_STEPS = "a i one uno eins, b ii two dos deux zwei due dois, c iii three tres trois drei tre três, d iv four cuatro quatre vier quattro quatro, e v five, f vi six, g vii seven, h viii eight"
_VALUES |= {step: place for place, steps in enumerate(_STEPS.split(","), start=1) for step in steps.split()}
_PARTS = "page|card|day|part|poster|chapter|act|episode|version|variation|option|p(?=\\d)|第(?=[\\d一二三四五六七八九十]{1,2}\\s?[页頁章幕])"
_MARKS = ("ordinal", "nth", "painted", "place", "item")
# Characters around a number that are read: more than a clause, and a bound on the work.
_REACH = 200
_SENTENCE = re.compile(r"[.!?\n。！？]")


@dataclass(frozen=True, slots=True)
class NamedCount:
    """A count that a text names.

    :param number: of images; None where it is not known ("several images").
    :param found: the words that say so.
    :param certain: whether it opens the text, so that it is the count of the set; else it may be.
    :param listed: whether it is the length of a list of scenes, and not written as a number.
    """

    number: int | None
    found: str
    certain: bool = False
    listed: bool = False


def named_count(text: str, *, references: bool = False) -> NamedCount | None:
    """The count that a text names, certain or not; None where nothing in it can count images.

    :param references: whether reference images go with it. Numbers further on may count those, so that only what opens
        the text is read.
    """
    odd = _pattern("odd").match(text)
    named = [NamedCount(None, odd[0].strip())] if odd else []
    named += [*_numbers(text, references), *_lists(text, references)]
    numbers = {each.number for each in named}
    certain = next((each for each in named if each.certain), None)
    if certain is not None and (not certain.listed or len(numbers) == 1):
        return certain
    hints = _hints(text, references)
    named += [each for each in hints if not any(one.found in each.found for one in named)]
    numbers = {each.number for each in named}
    found = ", ".join(dict.fromkeys(each.found for each in named[:3]))
    return NamedCount(numbers.pop() if len(numbers) == 1 else None, found) if named else None


@cache
def _pattern(name: str) -> re.Pattern[str]:
    # Compiled when first needed, as every DAG file is parsed often. Repeats are bounded or possessive: texts may be long.
    number = _number()
    word = rf"(?!(?:{_NOT_BETWEEN}|{number}(?![:\d]))\b(?!-)|\w+s(?:,|\sand\b))[\"“'(]?[\w'’:/&-]+(?<!:)[\"”)]?,?"
    nouns, one = rf"(?:(?P<image>{_IMAGE})|(?P<work>{_WORK})|{_PHOTO})\b", rf"(?:{IMAGE_NOUNS})\b"
    few = rf"(?:\s+{word}){{0,4}}?"
    asian = "|".join(sorted(re.split(r"[ |]", _ASIAN), key=len, reverse=True))
    asian, asian_image = rf"\d{{1,4}}|{asian}|一", f"(?:{_CJK_IMAGE}|{_CJK_PHOTO})(?!网格|拼[图贴接]|板块)"
    patterns = {
        "number": rf"(?<![\w/$#:.,×-])(?:(?P<low>{number})(?:\s+(?:to|or)\s+|(?<=\d)\s*[-–—~]\s*(?=\d)))?(?P<number>{number})"
        rf"(?P<more>\+)?(?:\s*\(\w+\)|\s*[x×](?=\s))?(?:\s+of\s+(?:the\s+following|these|those|your|my)|(?P<sets>\s+(?:pairs|sets|batches|groups|series|séries|serien)\s+(?:of|de|di|von)))?(?:(?:-|(?:(?<=\bone)|(?<=\b1)){few}\s+){one}|(?:(?:\s+{word}){{0,12}}?\s+|-|(?<=\d)){nouns})(?:[\s-]+(?:{_SET}|story|storyboard|carousel)\b)?"
        rf"|(?<![第\d.一二三四五六七八九十-])(?<![\d一二三四五六七八九十][:：])(?P<asian>{asian})\s*"
        rf"(?:[张張幅副枚장](?!目|번)(?:[^，。,.;；：:、\n]{{0,16}}?{asian_image}|(?=[：:，。]|\Z))"
        rf"|[张張幅副枚](?P<bare>(?!{_TABLES}|[^，。,.\n]{{0,8}}(?:网格|拼[图贴接]|宫格|卡片)))|(?:[个個组組]?张?|[つ点枚]の(?:シーンの|場面の|異なる)?|개의?\s*)(?:{asian_image})"
        rf"|[个個种種款](?:不同|独立|场景|版本|画面|角度)[^，。,.;；：:、\n]{{0,16}}?{asian_image}"
        rf"|(?P<plan>[个個种種款套][^，。,.;；：:、\n的含\d]{{0,6}}?{asian_image}"
        r"|[个個种種款版套][^，。,.;；：:、\n]{0,6}?(?:方案|版本|镜头|海报|封面|头像|壁纸|logo)(?!板块)|(?:版本|バージョン|パターン|パート|파트)|连[图圖]"
        r"|[页頁帧幀版][^，。,.;；：:、\n]{0,6}?(?:轮播|连环画|绘本|画册|故事|分镜|(?=\Z|[，。,.\n]))))"
        rf"|(?<!参考)(?<!參考)[出组組]?(?![画畫](?!像)){asian_image}\s*[をx×를을]?\s*(?P<behind>{asian})\s*[张張枚幅点장개](?!目|번)",
        "hint": rf"(?:\b(?:several|multiple|various|different|separate|many|both|some(?=\s(?:{IMAGE_NOUNS})s\b)|lots of|a few|varias|várias|diversas|diverse|mehrere|plusieurs|несколько|серия|серию"
        rf"|(?:{_AN}\s)?(?:{_SET}|serie|série) (?:of|de|di|von|mit)|(?:an?\s)?(?:pair|couple|batch|trio|trilogy|quartet) of|(?:double|triple) the|twice as many){few}\s+{nouns}"
        rf"|(?:(?:[多几数]|若干)[张幅个]|若干|一些|一[组套]|一?系列)[^，。,.\n]{{0,12}}?(?!图标|贴纸){asian_image}|(?:[^，。,.\n成画作做]{{0,8}}的)?(?:图像|图片|照片)序列)",
        "stated": rf"(?:(?<!\w)(?:num_|n_|number_of_)?(?:(?:{IMAGE_NOUNS})(?:s|s?[\s_-]count)|outputs)|\A(?:count|n)|[\"']n(?=[\"'])|\bn(?=\s?=))[\"']?\s*[:=(]\s*[\"']?(?P<stated>{number})\b(?![:.]\d)"
        r"|\b(?:amount|number)\sof\s(?:images|photos|pictures|outputs)\s(?:is\s)?(?P<total>\d{1,4})\b|(?<!\S)--?(?:n|num|count|number|batch|(?:num[_-])?images)(?:\s+|=)(?P<flag>\d{1,4})\b|(?:数量|(?:\A|(?<=[\n.]))\s?(?:quantity|anzahl|cantidad|quantité|quantidade))\s*[：:]\s*(?P<amount>\d{1,4})"
        rf"|(?:{_MAKE})\s(?:me\s|us\s)?(?P<alone>{number})(?=\sof\san?\b|\s?:(?!\d)|[\s.!]*\Z)|(?<!\w)[x×*]\s?(?P<times>\d{{1,2}})[\s.!)]*\Z|(?:\A\W*|[.\n]\s*)(?P<copies>\d{{1,2}})\s?[x×]\s(?=\w+\sof\b|(?:\w+\s){{0,3}}?{_ONE_IMAGE}\b)"
        rf"|(?:(?P<head>\A\W*)|(?<=[.,;:(\n])|(?<=[.,;:(\n]\s))(?:{_LABELS}|part)\s?\d{{1,2}}\s?(?:/|of|von|de|di|sur|из)\s?(?P<place>\d{{1,2}})\b(?(head)|(?=\W*\Z))",
        # Several images without a count: one for each of something, separate ones, plurals behind a verb, lists in JSON.
        "apart": rf"\b(?:{_AN}|separate)['’]?\s?(?:\w+\s){{0,2}}?{_ONE_IMAGE}\s(?:(?:per|par|pro|each)\b|(?:for|para|por|pour|für|на)\s(?:each|every|cada|chaque|jede|ogni|кажд))|\b(?:un'{_ONE_IMAGE}\sper|je\s{_AN}\s{_ONE_IMAGE})\b"
        rf"|\b(?:each|every)\b[^.\n]{{0,40}}\b(?:separate|individual|own)\s{_ONE_IMAGE}\b|(?:每[^一，。,.\n]{{1,10}}|各[^，。,.\n]{{0,6}}?)[一1]\s?[张張幅]|[一1]\s?枚ずつ"
        rf"|画像を複数|何枚か|한\s?장씩|여러\s?장(?:의[^.,\n]{{0,20}}?{asian_image}|[을를\s]*(?:{_MADE}|[.,]|\Z))"
        rf"|(?:{_MAKE})\s(?:me\s|des\s)?(?:(?:{IMAGE_NOUNS}|variation|version|variant)s|imágenes|fotos|imagens|immagini|bilder)\s?(?:(?:of|for|in|showing|:|con?m?|de|di|von|mit|avec)\s|d['’])"
        rf"|(?:{_MAKE})\sone\s(?:per|for\s(?:each|every))\b|\bone\sper\s{_ONE_IMAGE}\b"
        rf"|分别(?:{_MAKE})[^，。\n]{{0,20}}?{asian_image}|(?:\A\s*\{{\s*\"images|\b(?:prompts|shots))\"?\s*:\s*\[\s*[\"{{]"
        rf"|\b{_AN}\s(?:[a-z]+\s)?(?:carousel|storyboard)\sabout\b|(?:then|also)\s(?:{_MAKE})\s(?:a\ssecond|another)\s(?:{word}\s){{0,2}}?{_ONE_IMAGE}\b",
        # What asks for one of each reference image.
        "each_given": rf"\b(?:each|every)\s(?:\w+\s)?(?:{IMAGE_NOUNS})\b[^.\n]{{0,60}}\b(?:its\sown|separate\w*|individual\w*|one\s(?:output|image))\b|每一?[张張幅][^。\n]{{0,30}}?(?:单独|分别|各自)",
        # A second image of the same kind: "an image of a hare and another image of a crow".
        "second": rf"(?:[\W_]|{_FILL}|{_MAKE})*+(?:one\s)?(?:{word}\s){{0,3}}?(?P<one>{_ONE_IMAGE})\b(?s:.{{0,400}}?)"
        rf"(?:[,.;]|\b(?:and|then|plus|y|et|und|e|и)\b)\s+(?:(?:then|also|{_MAKE})\s+){{0,3}}?"
        rf"(?:(?:{_AN}|another|(?:a|the)\ssecond|otra|outra)\s(?:(?!{_AN}\b){word}\s){{0,3}}?(?P=one)\b|(?P=one)\s(?:of|de|von|di)\b|another\s(?:one\s)?(?:of|with|showing)\b)"
        rf"|(?:[\W_]|{_FILL}|{_MAKE})*+一[张張幅](?s:.{{0,200}}?)(?:和|再(?:{_MAKE})|另外?|还有|以及)\s?一[张張幅](?!{_TABLES})",
        # What a text asks to leave out.
        "without": r"(?:\b(?:no|not|without|avoid|never|exclude|negative(?:\s+prompt)?|ohne|kein\w*|sin|sans|sem|senza)\b:?(?:\s+[\w-]+){0,3}"
        r"(?:,\s*(?:(?:or|and|nor)\s+)?[\w-]+(?:\s+[\w-]+){0,2}){0,8}|(?:不要|避免|禁止)[^。，]{0,20}),?\s*(?:(?:or|and|nor)\s+)?(?:an?\s+)?\Z",
        "lead": rf"(?:[\W_]|{_FILL}|{_MAKE})*+",
        "make": _MAKE,
        "asked": rf"(?:(?:(?P<make>{_MAKE}|\btotal\sof\b)(?:\s(?:me\s)?(?:another|these|those|my|the\sfollowing)\s)?|\b(?:into|as|total|in|(?:{_SET}|total) of)\b|共|总计)(?:\s*+(?:{_FILL}))*+[\s_*]*|(?:\b(?:storyboard|carousel)(?:\s+(?:with|of|in))?|分镜|故事板|轮播图?)[\s:：,–—-]*)\Z",
        "wanted": rf"(?:.*(?:{_MAKE}|\bshoot\b|拍摄?|\b(?:into|as)\b))?(?:\s*+{word}(?=\s)){{0,3}}?[\s_*#-]*",
        # Up to three words at the head of a sentence may be a verb that is not known here: "Craft 4 photos", "Je veux 4 photos".
        "verb": rf"(?:\A|[.!?\n])\s*(?:(?!(?:{_NOT_BETWEEN}|{_FOREIGN_LINKS}|include|add|place|keep|use|the|all|alle|die|les|le|las|los|tutte|todas|toutes|as|os)\b)[^\W\d_]+(?:-\w+)?(?<!ing)[ \t]+){{1,3}}(?:(?:{_FILL})[ \t]+)*+\Z",
        "like": r"\s+(?:style|look|quality|aesthetic|vibe|(?:on|in)\s+(?:an?\s|the\s|his\s|her\s)?(?:\w+\s){0,2}"
        r"(?:walls?|tables?|desks?|shelf|shelves|screens?|phone|tablet|laptop|monitor|fridge|easels?|floor|pages|album))\b|被?(?:悬?挂|贴|摆|放|散落|铺)在",
        "thing": r"\b(?:at|through|between|beside|past|(?:compar|hang|swip|hold|view|watch|stud[yi]|examin|admir|carry|brows)\w*)\s*\Z",
        # What makes one image of several, whatever the verb.
        "merged": r"\s(?:\w+\s){0,3}?(?:in)?to\s(?:one|1|a\ssingle)\b",
        # What holds things, before a number of Chinese.
        "held": "[有挂掛拿贴貼放摆擺在上下里裡中着著持含抱夹是的]",
        # What says that the images are those that go with the text.
        "given": r".*?(?:\b(?:(?:attached|given|uploaded|provided|supplied)\b|adjunt|joint|angehäng|allegat|anexad|to\s+(?:be\s+)?(?:merge|combine|blend))|→|[-=]>|中的|合|融|から)"
        rf"|[を를을](?!\s*(?:{_MADE}))",
        "table": rf"[张張]{_TABLES}",
        "also": r"(?:\b(?:and|plus|y|und|et|e|и)\s|[&,，、和])\s*\Z",
        "planned": rf"[^.\n。]{{0,40}}?(?:{_MADE})|[\s*_]*(?:\Z|[.:;!?\n，。：；])",
        "ordered": rf"\s*[を를을]?\s*(?:{_MADE})",
        "name": r"(?:[^\s.!?:;\n]\s+(?-i:[A-Z])|(?-i:[A-Za-z]+[A-Z]))[\w-]*\s+\Z",
        "part": r"(?:\b(?:panel|scene|image|figure|step|part|page|first|last|next|other|another|remaining|final|previous|both|these|those|my|your|our|their)|\d\s*(?:x|×|\*|by))\s*\Z",
        "each": r"\s*(?:per|each|apiece|for\s+(?:each|every))\b",
        "ends": r"[\s*_]*(?:\Z|[.:;!?\n。：；])",
        "said": r"\s*(?:\Z|[^\w\s(（]|(?:of|de|di|von|showing|depicting|about|please|(?:are|will\sbe)\s(?:needed|wanted|required))\b|d['’]|[а-яё])",
        "odd": rf"[\s*_#]*(?:[-−]\s?\d+|\d*[.,]\d+){few}\s+{nouns}",
        # Before another noun it is a thing: "mosaic tiles", "grid engineers".
        "layout": rf"\A\W*{_GRID}\b|\b{_GRID}(?=\s+(?:of|with|in|for|from|showing|contain\w*|layout|format|style|design|composition|and|on|about|that|de|con|com)\b|\s*(?:[^\s\w]|\Z))|{_ARRANGED}|{_ALONE}",
        "joined": rf"\b(?:in|into|as|on|within|form\w*|for)\s(?:\S+\s){{0,4}}?{_GRID}\b|{_ARRANGED}",
        "holds": rf"(?:\b{_GRID}|{_ARRANGED})(?:\s[\w-]+){{0,3}}?(?:\s(?:of|with|showing|contain\w*|featuring|from|de|con|com|mit)\b|[:：，（(]\s*共?|(?<=into)|(?<=of)|，?(?:包含|包括|由|有|中的?))\s*(?:exactly\s)?\Z",
        "quoted": r"(?<![:=,\[{(])(?<![:=,\[{(]\s)[\"“「『]\s*\Z",
        "several": rf"\b(?:(?:{IMAGE_NOUNS}|scene|shot|poster|variation|version|sticker|slide|frame)s|szenen|motive|story|storyboard|series|sequence)\b|组图|故事|系列|绘本",
        "mark": r"(?:\A|(?<=\band\s)|(?<=[.!?…,;:)\]\"'”’。，；！？：\n]))[ \t>*_#•-]*+(?:"
        rf"(?P<label>(?P<part>{_PARTS})|{_LABELS})\s*[#-]?\s?(?P<place>\d{{1,2}}|[一二三四五六七八九十]|(?:{_STEPS.replace(', ', '|').replace(' ', '|')})\b)"
        r"\s*(?:(?:/|of\s)\s?\d{1,2}\b)?[张張幅个個页頁章幕]?(?:[图圖画畫]|场景)?\s*(?:\([^)\n]{0,60}\)\s*)?(?:\*\*|__)?(?:[.):：、—–-]|$|(?:is|shows|depicts)\b|(?P<bare>(?<=\s)|(?=\s)))"
        rf"|(?P<ordinal>{_PLACES})(?:ly)?\s*[,:]"
        rf"|(?P<within>in\s+)?(?:the\s+)?(?P<nth>{_PLACES}|\d{{1,2}}(?:st|nd|rd|th)|next|last|final)\s+(?:image|picture|photo|scene|shot|frame)\b(?(within)|\s*(?::|(?:shows?|is|depicts?)\b))"
        r"|第?(?P<painted>[一二三四五六七八九十]|\d{1,2})(?:[张張幅](?:图片?|圖片?|画面?|畫)?(?:是|为|為|展示|描绘)|枚目\s*[:：]))"
        r"|(?P<line>^)?(?:(?P<hash>(?(line)(?:[#＃]\s?|n[or]\.\s?)|(?!)))|(?<!\S)[(（\[]?|(?<=[。；，！？])|[(（\[](?=\d{1,2}(?:/\d{1,2})?[)）\]])|(?=[①-⑮❶-❿]))(?P<item>\d{1,2}|[一二三四五六七八九十]|[①-⑮❶-❿]|[a-h](?=\)|(?(line)\.|\)))|i{1,3}(?=[.)])|i?v(?=[.)])|vi{1,3}(?=[.)]))"
        r"(?:\s?/\s?\d{1,2}[)）\]]|[.)）、]|(?<=\[\d)\]|(?<=\[\d\d)\]|(?<=[①-⑮❶-❿])|\uFE0F?\u20E3|(?(line)(?:[:：\]]|/\d{1,2}\s|\s?[-–—]\s)|(?!))|(?(hash)\s|(?!)))(?:\*\*|__)?\s*(?=\D)(?P<head>[^\n:：.。]{1,40}[:：])?",
    }
    return re.compile(patterns[name], re.IGNORECASE | (re.MULTILINE if name == "mark" else 0))


def _number() -> str:
    """A number in digits or in words, as a pattern."""
    # "half a dozen" is read as its first word.
    words = "half[ -](?:an? )?dozen|" + "|".join(
        sorted({*NUMBER_WORDS} - {"half"} | {*re.split(r"[ |]", _FOREIGN), "две"}, key=len, reverse=True)
    )
    tens, units = _TENS.replace(" ", "|"), "|".join(_ENGLISH.split()[1:10])
    return rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}}|(?:{tens})[\s-](?:{units})|{words})"


def _numbers(text: str, references: bool) -> Iterator[NamedCount]:
    """Numbers that may count the images of the set."""
    finds, layout = list(_pattern("number").finditer(text)), _laid_out(text)
    for index, found in enumerate(finds):
        number, shown = _value(found["number"] or found["asian"] or found["behind"]), found[0].strip()
        before = text[max(0, found.start() - _REACH) : found.start()]
        if number is None or _belongs_elsewhere(found, number, text, before, references):
            continue
        made, laid = _pattern("make").search(before) is not None, _laid_out(text, found, joined=True)
        if number > 1 and laid and not made:
            continue
        rest = _sentence(text, found)[1]
        ends, ordered = (_pattern(each).match(text, found.end()) for each in ("ends", "ordered"))
        given = references and not ends and _pattern("given").match(rest)
        merged = references and number > 1 and _pattern("merged").match(rest)
        if merged or (not made and (given or _pattern("like").match(rest))):
            continue
        opens = found.start() < _REACH and _pattern("lead").fullmatch(before) is not None
        sure = ends or made or ordered or _pattern("said").match(text, found.end())
        if found["behind"]:
            opens = bool(sure and (opens or (ordered and len(_clause(before)) == found.start())))
        of_things = re.search("的|の.+の", found[0]) and not made and not ordered
        table = found["asian"] and (of_things or _pattern("table").search(found[0]))
        far = number > 1 and shown.count(" ") > 5
        # A number without a verb may be that of the references: "2 photos: make one portrait".
        theirs = references and not made and not (ends and ends[0][-1:] not in list(":：;；"))
        if theirs and re.match(r"\s+(?:of|showing|with|in|for|de|di|von|mit)\b", text[found.end() :][:12]):
            theirs = _pattern("make").search(text, found.end()) is not None
        vague = found["work"] or found["plan"] or table or far or theirs
        others = [other.start() - found.end() for other in finds[index + 1 : index + 4]]
        more = not ends and any(_pattern("also").search(rest[:at][-8:]) for at in others if at < len(rest))
        span = found["low"] or found["more"] or found["sets"] or more
        if span or _pattern("each").match(text, found.end()):
            number = None
        elif opens and sure and not vague and (ends or number == 1 or not layout):
            yield NamedCount(number, shown, certain=True)
            return
        force = 0 if laid or number in (0, 1) else _force(found, text, before, references, far)
        if (opens and not (found["work"] and laid)) or force > layout:
            yield NamedCount(number, shown)
        if opens and more:
            return


def _sentence(text: str, found: re.Match[str]) -> tuple[str, str]:
    """What stands before and behind it in its own sentence."""
    start, end = max(0, found.start() - _REACH), found.end() + _REACH
    return _SENTENCE.split(text[start : found.start()])[-1], _SENTENCE.split(text[found.end() : end])[0]


def _laid_out(text: str, found: re.Match[str] | None = None, *, joined: bool = False) -> bool:
    """Whether one image holds several: anywhere, in the sentence of what was found, or by words that join the two."""
    if found is None:
        words = [each for each in _pattern("layout").finditer(text) if not _left_out(text, each)]
        apart = _pattern("apart").search(text) if words else None
        return any(not apart or not apart.start() <= each.start() < apart.end() for each in words)
    before, behind = _sentence(text, found)
    if re.search(r"\b(?:separate|individual) (?!.*panels)|独立|单独", found[0], re.IGNORECASE):
        return False
    if not joined:
        return any(_laid_out(part) for part in (before, behind))
    ways = _pattern("joined").finditer(text, found.start(), found.end() + len(behind))
    return any(not _left_out(text, way) for way in ways) or _pattern("holds").search(before) is not None


def _value(word: str) -> int | None:
    if word[0].isdigit():
        return int(word.replace(",", ""))
    tens, _, unit = word.lower().replace("-", " ").partition(" ")
    # Ignoring case takes "sıx" for "six", which no language writes.
    return _VALUES[tens] + (_VALUES.get(unit, 0) if tens != "half" else 0) if tens in _VALUES else None


def _belongs_elsewhere(found: re.Match[str], number: int, text: str, before: str, references: bool) -> bool:
    """Whether a number is that of a name, a year, a size, a quotation or a part of the set, or its noun is no plural."""
    behind = re.match(r"[^\n\"“”」』]{0,80}[\"”」』]\s*(?P<more>\S?)", text[found.end() : found.end() + 90])
    if behind and _pattern("quoted").search(before) and (behind["more"] or len(before.strip()) > 1):
        return True
    word = found["number"]
    if word is None:  # "一张" is an article, too
        return number == 1 and not (found["asian"] or found["behind"]).isdigit()
    if number != 1 and re.search(rf"\b(?:{IMAGE_NOUNS})\Z", found[0], re.IGNORECASE):
        return True
    name = _pattern("name").search(before) or (number > 15 and re.fullmatch(r"[A-Z]\w*\s+", before))
    named = name and not re.search(rf"(?:{_MAKE}|{_FILL})\s+\Z", before, re.I)
    if word.isdecimal() and (named or 1500 <= number <= 2199):
        return True
    asked = None if references else _pattern("asked").search(before)
    return not asked and _pattern("part").search(before) is not None


def _force(found: re.Match[str], text: str, before: str, references: bool, far: bool) -> int:
    """How a number within the text asks for images: 2 says so, 1 may say so where nothing is laid out, 0 does not."""
    clause, part = _clause(before), found["work"] or found["plan"]
    asked = _pattern("asked").search(before)
    made = ((asked and asked["make"]) or "").lower()
    panels = re.search("panels$", found[0]) and "separate" not in found[0]
    if made and not (part and made.startswith("show")):
        return (0 if references else 1) if panels else 2
    if references or panels:
        return 0
    if asked or _pattern("verb").search(before):
        return 1 if asked or part or len(clause.split()) > 1 else 2
    if far:
        return 0
    begins, ends = not clause.strip(), _pattern("ends").match(text, found.end())
    if found["behind"]:
        ordered = _pattern("ordered").match(text, found.end()) or _pattern("make").search(clause)
        return 2 if ordered or (ends and len(clause) == found.start()) else 0
    if _pattern("thing").search(clause):
        return 0
    held = _pattern("held").search(clause)
    if found["plan"] and not held and _pattern("planned").match(text[found.end() : found.end() + 60]):
        return 1
    table = found["asian"] and re.search(r"\A\S\s*图\Z", found[0])
    if part or found["bare"] is not None or table:
        return 1 if begins and text[found.end() : found.end() + 1] == ":" else 0
    said = _pattern("said").match(text, found.end())
    if begins and said is not None and not (before.rstrip().endswith(",") and said[0].strip() == ","):
        return 2 if ends else 1
    image = found["image"] or re.search(r"(?:图片|图像|画像|이미지|[张張幅枚]\s*图)\Z", found[0])
    if image or re.search(r"\b(?:the|all)\s*\Z|所有|共", clause, re.IGNORECASE):
        return 1
    return 1 if not held and found["asian"] and re.match(r"[^张張幅副]{1,6}[张張幅副]", found[0]) else 0


def _clause(before: str) -> str:
    return re.split(r"[.!?:;,\n(—–。！？；：，、（]", before)[-1]


def _hints(text: str, references: bool) -> Iterator[NamedCount]:
    """Several images without a number, and a number behind its noun ("images: 3") or in an option ("--n 3")."""
    for found in _pattern("stated").finditer(text):
        number = _value(found[found.lastgroup or 0])
        if number != 1 and (found["flag"] or not (references or _laid_out(text, found))):
            yield NamedCount(number, found[0].strip())
    if references:
        yield from (NamedCount(None, each[0]) for each in _pattern("each_given").finditer(text))
        return
    layout = _laid_out(text)
    for found in _pattern("hint").finditer(text):
        clause = _clause(text[max(0, found.start() - _REACH) : found.start()])
        made = _pattern("make").search(clause)
        laid = _laid_out(text, found) or (_laid_out(found[0]) if made else layout)
        wanted = not laid and not _left_out(text, found) and _pattern("wanted").fullmatch(clause)
        opens = found.start() < 2 and not (found["work"] and laid)
        if opens or (wanted and (made or not found["work"])):
            yield NamedCount(None, found[0])
    for other in (_pattern("apart").search(text), _pattern("second").match(text[: 4 * _REACH])):
        if other and not _laid_out(text, other) and not _left_out(text, other):
            yield NamedCount(None, other[0][-60:])


def _left_out(text: str, found: re.Match[str]) -> bool:
    """Whether the text asks not to have what was found: "no collage, grid, or multiple images"."""
    return _pattern("without").search(text, max(0, found.start() - 80), found.start()) is not None


def _lists(text: str, references: bool) -> Iterator[NamedCount]:
    """Scenes that are listed: "Panel 1: ... Panel 2: ...", "First, ... Second, ...", "1. ...", and bullets."""
    prompts = [prompt.strip() for prompt in re.split(r"\|\|\||^[ \t]*-{3,}[ \t]*$", text, flags=re.MULTILINE)]
    if len(prompts) > 1 and not any("\n" in prompt or not prompt for prompt in prompts):
        yield NamedCount(len(prompts), f"{len(prompts)} prompts between lines", listed=True)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(re.match(r"\s*[-*•→]\s", line) for line in lines):
        yield NamedCount(len(lines), f"{len(lines)} bullets", listed=True)
    lists: dict[str, list[re.Match[str]]] = {}
    for mark in _pattern("mark").finditer(text):
        name = (mark["label"] or next(kind for kind in _MARKS if mark[kind])).lower()
        marks, begun = lists.setdefault(name, []), text[mark.start() - 1 : mark.start()] in ("", "\n")
        place = _place(mark) or (len(marks) + 1 if marks else 0)
        if place == len(marks) + 1 and (begun or mark["bare"] is None):
            marks.append(mark)
    for name, marks in lists.items():
        if len(marks) < 2:
            continue
        first, items, parts = marks[0].start(), name == "item", marks[0]["part"]
        referable = references and (
            name.startswith(("image", "picture", "photo", "图"))
            or (name in ("nth", "painted") and not marks[0][0].endswith((":", "：")))
        )
        between = (text[one.end() : other.start()].strip() for one, other in pairwise(marks))
        sections, opens = (items or parts) and any("\n" in each for each in between), not text[:first].strip()
        if referable or sections or (not opens and _laid_out(text[:first])):
            continue
        scenes = name not in ("nth", "painted") and not any(mark["head"] or mark["part"] for mark in marks)
        sentence = _SENTENCE.split(text[max(0, first - _REACH) : first].rstrip())[-1]
        ordered = any(not _left_out(sentence, word) for word in _pattern("several").finditer(sentence))
        shown = f"{marks[0][0].strip()} … {marks[-1][0].strip()}"
        if not opens and any(mark["bare"] is not None for mark in marks):
            continue
        unsure = items or (references and name in ("ordinal", "第")) or _laid_out(text)
        if opens and scenes and not unsure:
            yield NamedCount(len(marks), shown, certain=True, listed=True)
        elif opens or (not references and not parts and (not (items or name == "panel") or ordered)):
            yield NamedCount(len(marks), shown, listed=True)


def _place(mark: re.Match[str]) -> int | None:
    """The number of a mark; None for the next or last one."""
    place = next(mark[kind] for kind in _MARKS if mark[kind]).lower()
    if place.title() in ORDINALS:
        return ORDINALS.index(place.title()) + 1
    digits = re.sub(r"\D", "", place)  # "①" is none, and "1st" has one
    if digits or place in _VALUES:
        return _VALUES.get(place) or int(digits)
    return int(numeric(place, 0)) or None if len(place) == 1 else None
