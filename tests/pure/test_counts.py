"""Counts in prompts: certain, unsure, or none, in the languages that prompts are written in."""

from __future__ import annotations

import time
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed.counting import NamedCount, named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.request import ImageSetRequest

WORDS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
]
LINKS = ["https://example.org/1.png", "https://example.org/2.png"]
PIECES = [
    "two",
    "six",
    "ten",
    "-",
    " ",
    ", ",
    "3",
    "12",
    "to",
    "or",
    "image",
    "images",
    "photos",
    "posters",
    "series of",
    "one",
    ".",
    "\n",
    "1. ",
    "2. ",
    "- ",
    "First, ",
    "Second, ",
    "Panel 1: ",
    "Panel 2: ",
    "生成",
    "四",
    "张",
    "图片",
    "iPhone ",
    "create ",
    "the ",
    "4x4",
    "grid",
    "2.5",
    "×",
    "参考图",
    "一系列",
]

CERTAIN = [
    ("Create 4 on-brand images of a tea house", 4),
    ("Make 3 in-game pictures of a castle", 3),
    ("Draw 5 to-scale images of a boat", 5),
    ("出3张海报", 3),
    ("帮我出三张灯塔的海报", 3),
    ("画俩张海报", 2),
    ("生成6个表情包", 6),
    ("half a dozen images of hares", 6),
    ("3 images", 3),
    ("Three Pictures of a hare", 3),
    ("  **2 images.** First, a hare", 2),
    ("2 images. First, a wall of 5 images. Second, a hare.", 2),
    ("One image of a hare", 1),
    ("a set of one image", 1),
    ("0 images", 0),
    ("16 images. First, a hare", 16),
    ("twenty-four images", 24),
    ("1,000 images", 1000),
    ("\u0662 images of hares", 2),
    ("A dozen images of hares", 12),
    ("a series of 4 images", 4),
    ("set of six photos", 6),
    ("a 4-image story about a hare", 4),
    ("I'd like 2 pics", 2),
    ("Please create exactly twelve photos of one hare", 12),
    ("Create 3 pencil images of a lighthouse", 3),
    ("Generate 5 (five) images of a harbour", 5),
    ("2 x images of a harbour", 2),
    ("I want four of the following images: a hare, a crow, a cat, a dog", 4),
    ("Make 6 black and white photos of a dancer", 6),
    ("3 images. A grid, a collage, a comic page.", 3),
    ("生成3张图片：早、中、晚", 3),
    ("请帮我画五张插画，主题是灯塔", 5),
    ("生成一组共4张海报分镜，风格统一", 4),
    ("参考图2，生成三图片", 3),
    ("制作2张同一款手表在清晨和夜晚的广告", 2),
    ("3枚のイラスト：灯台の朝昼晩", 3),
    ("2장의 사진: 등대의 낮과 밤", 2),
    ("Crea 3 imágenes de un faro", 3),
    ("cinco imágenes de un faro", 5),
    ("Erstelle zwei Bilder: ein Leuchtturm bei Tag und bei Nacht", 2),
    ("quatre images d'un phare", 4),
    ("Crie 3 imagens de um farol", 3),
    ("tre immagini di un faro", 3),
    ("нарисуй 3 картинки маяка", 3),
    ("灯台の画像を三枚生成して", 3),
    ("ウサギのイラストを5枚描いてください", 5),
    ("2つの画像を作成してください", 2),
    ("토끼 그림 3장을 그려줘", 3),
    ("이미지 다섯 장", 5),
    ("出图3张，一座灯塔", 3),
    ("請畫3張兔子的圖", 3),
    ("生成組圖五張：灯塔", 5),
    ("生成2个不同角度的图片", 2),
    ("Let me have five pictures of a hare", 5),
    ("6images of a hare", 6),
    ("4 fotos de un faro", 4),
    ("Haz 4 dibujos de una liebre", 4),
]

LISTS = [
    ("Scene 1: a barn with solar panels. Scene 2: the barn in snow. Scene 3: the barn at night.", 3),
    ("Image 1: a collage artist at work. Image 2: her studio.", 2),
    ("Panel one - a hare; panel two - a crow", 2),
    ("Image 1 is a hare, image 2 is a crow", 2),
    ("图1：墙上的网格窗。图2：雪山。", 2),
    ("Scene 1: the hare wakes. Scene 2: it runs.", 2),
    ("Panel 1: the hare wakes.\nPanel 2: it runs.\nPanel 3: it sleeps.", 3),
    ("Image 1: a hare. Image 2: a crow.", 2),
    ("First, a hare. Second, a crow.", 2),
    ("场景1：兔子醒来。场景2：兔子奔跑。场景3：兔子睡觉。", 3),
    ("第一张：清晨的灯塔\n第二张：夜晚的灯塔", 2),
    ("Scene one: the hare wakes. Scene two: it runs. Scene three: it sleeps.", 3),
    ("Scene A: a hare. Scene B: a crow.", 2),
    ("Scene I: a hare. Scene II: a crow. Scene III: a cat.", 3),
    ("Bild 1: ein Hase. Bild 2: eine Krähe.", 2),
    ("Escena 1: una liebre. Escena 2: un cuervo.", 2),
    ("Scène 1 : un lièvre. Scène 2 : un corbeau.", 2),
    ("Cena 1: uma lebre. Cena 2: um corvo.", 2),
    ("Сцена 1: заяц. Сцена 2: ворона.", 2),
    ("シーン1：ウサギ。シーン2：カラス。", 2),
    ("장면 1: 토끼. 장면 2: 까마귀.", 2),
    ("コマ1：ウサギ。コマ2：カラス。", 2),
    ("Firstly, a hare. Secondly, a crow.", 2),
    ("image 1/2: a hare, image 2/2: a crow", 2),
    ("Image #1: a hare. Image #2: a crow", 2),
    ("Frame 1 a hare\nFrame 2 a crow", 2),
    ("Prompt 1: a hare\nPrompt 2: a crow", 2),
    ("**Image 1** a hare\n**Image 2** a crow", 2),
    ("Escena uno: una liebre. Escena dos: un cuervo.", 2),
]

UNSURE = [
    ("为一首歌生成电影般的图像序列", None),
    ("A farm with solar panels on the barn. Generate 4 images from all sides.", 4),
    ("A farm with solar panels, 3 images", 3),
    ("A hall with mosaic tiles. I need 5 images.", 5),
    ("A grid of streets from above. Give me 3 pictures.", 3),
    ("An old mosaic of a lion; make 4 pictures", 4),
    ("A room with a mood board. Deliver three images.", 3),
    ("女孩站在网格墙前，生成4张照片", 4),
    ("A lion. Generate 4 images of a mosaic", 4),
    ("Scene 1: a hare. Scene 2: a crow. All in one picture.", 2),
    ("First, a girl, second, a boy, one picture", 2),
    ("三张海报，一张海报给猫", None),
    ("Create 4 stunning, highly detailed, ultra realistic photos of bees", 4),
    ("5 moody, cinematic, film noir style black and white portraits", 5),
    ("Please make 3 high quality, photo realistic, well lit images", 3),
    ("Bees. 4 photos please.", 4),
    ("Bees. Four photos are needed.", 4),
    ("Bees. I would like to have four photos.", 4),
    ("Create another 4 images of bees", 4),
    ("4+ images of bees", None),
    ("Bees. Amount of images: 4", 4),
    ("Number of images 4, bees", 4),
    ("4x portrait of a knight", 4),
    ("Portrait of a knight (x4)", 4),
    ("4 panels, each a separate image: a hare wakes, eats", None),
    ("a hare, delivered as three separate files", 3),
    ("[1] a hare [2] a crow [3] a cat", 3),
    ("i. a hare\nii. a crow\niii. a cat", 3),
    ("First image: a hare; next image: a crow; last image: a cat", 3),
    ("Create 4 headshots for a tea house", 4),
    ("Create 4 selfies for a tea house", 4),
    ("Create 4 flyers for a tea house", 4),
    ("Create 4 memes for a tea house", 4),
    ("Create 4 infographics for a tea house", 4),
    ("Create 4 graphics for a tea house", 4),
    ("Create 4 mockups for a tea house", 4),
    ("Create 4 stills for a tea house", 4),
    ("Create 4 close-ups for a tea house", 4),
    ("Create 4 snapshots for a tea house", 4),
    ("Create 4 backgrounds for a tea house", 4),
    ("Create 4 files for a tea house", 4),
    ("half a dozen wallpapers", 6),
    ("拍4张照片", 4),
    ("帮我拍5张女孩的照片", 5),
    ("请提供三张不同角度的照片", 3),
    ("打印4张照片", 4),
    ("渲染4张效果图", 4),
    ("求4张头像", 4),
    ("给我整两张壁纸", 2),
    ("设计3款主图", 3),
    ("6款图标", 6),
    ("生成5个证件照", 5),
    ("4个产品图", 4),
    ("女孩在海边，4张照片", 4),
    ("多张照片，猫的一天", None),
    ("生成若干张图片", None),
    ("生成一些图片", None),
    ("生成多张头像", None),
    # Points that are only numbered may be the parts of one image.
    ("1. the hare wakes\n2. it runs\n3. it sleeps", 3),
    ("1) the hare wakes 2) it runs", 2),
    ("(1) a hare (2) a crow (3) a cat", 3),
    ("a) a hare\nb) a crow", 2),
    ("① 兔子 ② 乌鸦 ③ 猫", 3),
    ("一、兔子。二、乌鸦。三、猫。", 3),
    ("（1）兔子（2）乌鸦", 2),
    ("A. a hare\nB. a crow", 2),
    ("1、兔子。2、乌鸦。", 2),
    ("1: a hare\n2: a crow", 2),
    ("#1 a hare\n#2 a crow", 2),
    ("# 1 a hare\n# 2 a crow\n# 3 a cat", 3),
    ("No. 1: a hare\nNo. 2: a crow", 2),
    ("#1 兔子\n#2 乌鸦", 2),
    ("(1/3) a hare (2/3) a crow (3/3) a cat", 3),
    ("1/2 a hare\n2/2 a crow", 2),
    ("（1/2）兔子（2/2）乌鸦", 2),
    ("1 - a hare\n2 - a crow", 2),
    ("[1] a hare\n[2] a crow", 2),
    ("1️⃣ a hare\n2️⃣ a crow", 2),
    ("❶ a hare ❷ a crow", 2),
    ("A hare in the snow, 3 images in total", 3),
    ("The hare wakes, runs and sleeps. 3 images.", 3),
    ("Tell the story with 4 images", 4),
    ("A hare's day, told as a series of 4 images: dawn, noon", 4),
    ("Please turn this drawing into 4 finished images", 4),
    ("Craft 4 photos of a hare", 4),
    ("Apollo 11 images", 11),
    ("A hare. The 3 images share one palette.", 3),
    ("Create 3 posters for a harbour festival", 3),
    ("Draw 4 scenes of a hare", 4),
    ("A set of three watercolour scenes", 3),
    ("Storyboard of a hare, 5 frames: it wakes", 5),
    ("images: 3. A hare, a crow, a cat", 3),
    ("3-5 images of a hare", None),
    ("two or three pictures of a hare", None),
    ("3 images each", None),
    ("one image for each scene", None),
    ("-2 images. A hare.", None),
    ("2.5 images of hares", None),
    ("Act one: 2 images of the sea. Act two: 3 images of the wood.", None),
    ("Generate a series of images about a hare", None),
    ("Help me make several images of a hare", None),
    ("Create 4 photos of a hare, all in a 2x2 grid", 4),
    ("- the hare wakes\n- it runs\n- it sleeps", 3),
    ("A story about a hare:\n1. it wakes\n2. it runs", 2),
    ("A day at sea. Scene 1: the boat leaves. Scene 2: it returns.", 2),
    ("First, 2 images of a hare. Second, 3 images of a crow.", None),
    ("The first image shows a hare, the second image shows a crow.", 2),
    ("画一只兔子，共3张图片", 3),
    ("请生成多张图片，讲述兔子的故事", None),
    ("用一组图讲述兔子的一天", None),
    ("Un faro, con 3 imágenes", 3),
    ("Quiero 3 fotos de un faro", 3),
    ("Ich brauche 5 Fotos von einem Leuchtturm", 5),
    ("Zeichne vier Szenen mit einem Hasen", 4),
    ("Je veux 3 photos en noir et blanc", 3),
    ("Génère deux affiches de cirque", 2),
    ("Faça 4 fotos de um farol", 4),
    ("Fai 5 foto di un faro", 5),
    ("Хочу 3 фотографии маяка", 3),
    ("Сгенерируй 5 сцен с зайцем", 5),
    ("Por favor, crea una serie de 3 carteles", 3),
    ("Make 5 stickers of a hare", 5),
    ("Produce 3 screenshots of a tide app", 3),
    ("3 watercolours of a harbour", 3),
    ("I need a carousel of 6 slides", 6),
    ("a pair of images: a hare and a crow", None),
    ("image count: 3, a hare", 3),
    ("num_images: 3\na hare", 3),
    ("토끼 사진 2장", 2),
    ("灯塔的照片4张", 4),
    ("第一幅画是兔子，第二幅画是乌鸦", 2),
    ("Page 1: a hare. Page 2: a crow.", 2),
    ("1st image: a hare. 2nd image: a crow.", 2),
    ("In the first scene a hare wakes; in the second scene it runs", 2),
    ("3 images of hares and 2 images of crows", None),
    ("两张椅子的照片", 2),
    ("3枚の葉の写真", 3),
    ("Fais-moi quatre dessins", 4),
    ("Act 1: the boat leaves. Act 2: it returns.", 2),
    ("Version A: a hare. Version B: a crow", 2),
    ("Episode 1: a hare. Episode 2: a crow.", 2),
    ("第1页：兔子\n第2页：乌鸦", 2),
    ("第一幕：兔子\n第二幕：乌鸦", 2),
    ("P1：兔子\nP2：乌鸦", 2),
    ("1枚目：ウサギ\n2枚目：カラス", 2),
    ("Image 1 of 4: a hare", 4),
    ("part 1 of 3: a hare", 3),
    ("A hare in snow --n 4", 4),
    ("A hare in snow --num=4 --ar 16:9", 4),
    ("A comic page with a hare --num-images 3", 3),
    ("a hare, n=4", 4),
    ('{"prompt": "a hare", "n": 4}', 4),
    ("Images (4): a hare", 4),
    ("a hare x4", 4),
    ("I want 4.", 4),
    ("Generate 4 of a hare", 4),
    ("Storyboard: 6 frames", 6),
    ("이 토끼 이야기를 12 파트로 이루어진 콘티로 만들어줘.", 12),
    ("The first picture shows a hare and the second picture shows a crow", 2),
    ("Bild 1 von 3: ein Hase", 3),
    ("→ a hare\n→ a crow", 2),
    ("A lighthouse in two versions", 2),
    ("Zwei Versionen eines Leuchtturms", 2),
    ("Crea dos versiones de un faro", 2),
    ("A lighthouse. Quantity: 4", 4),
    ("给我4版", 4),
    ("Make one for each season", None),
    ("A hare, a crow and a cat, one per image", None),
    ("Make variations of this hare", None),
    ("Genera imágenes de una liebre", None),
    ("Erstelle Bilder von einem Hasen", None),
    ("Crée des images d'un lièvre", None),
    ("分别生成兔子和乌鸦的图片", None),
    ("Photo of a hare. Photo of a crow.", None),
    ('{"prompts": ["a hare", "a crow"]}', None),
    ('Here are the prompts: ["a hare", "a crow"]', None),
    ("Storyboard with six shots of a hare", 6),
    ("分镜：6个镜头", 6),
    ("故事板：6帧", 6),
    ("做一个6页的轮播图", 6),
    ("给我3个方案", 3),
    ("A 5-slide carousel about tea", 5),
    ("a four-part series about a hare", 4),
    ("Produce 4 outputs of a hare", 4),
    ("A hare in the snow, 3 images in total. No collage, no grid.", 3),
    ("two pairs of images of a hare", None),
    ("2 sets of photos", None),
    ("deux séries de photos d'un lièvre", None),
    ("double the images", None),
    ("twice as many images of a hare", None),
    ("a trio of photos of a hare", None),
    ("Generate some images of a hare", None),
    ("Create images of a hare", None),
    ("A hare; a crow; a cat. Separate images.", None),
    ("Show a hare in each season, each as a separate image", None),
    ("An image for each season", None),
    ("Spring, summer, autumn. One image each.", None),
    ("Una imagen para cada estación", None),
    ("Une image pour chaque saison", None),
    ("Ein Bild für jede Jahreszeit", None),
    ("Uma imagem para cada estação", None),
    ("по одной картинке на каждое время года", None),
    ("每个季节一张图", None),
    ("春夏秋冬各一张图片", None),
    ("春夏秋冬それぞれ1枚ずつ画像を作成してください", None),
    ("ウサギの画像を複数生成して", None),
    ("토끼 이미지 여러 장", None),
    ("Toma una serie de fotos de una liebre", None),
    ("une série de photos d'un lièvre", None),
    ("eine Serie von Bildern mit einem Hasen", None),
    ("várias imagens de uma lebre", None),
    ("una serie di immagini di una lepre", None),
    ("Create an image of a hare and another image of a crow", None),
    ("Create an image of a hare and another of a crow", None),
    ("An image of a hare. A second image of a crow.", None),
    ("Create a day version and a night version of a lighthouse", None),
    ("Una imagen de una liebre y otra imagen de un cuervo", None),
    ("Ein Bild von einem Hasen und ein weiteres Bild von einer Krähe", None),
    ("Une image d'un lièvre et une autre image d'un corbeau", None),
    ("生成一张兔子的图片和一张乌鸦的图片", None),
    ("生成一张兔子的图，再生成一张乌鸦的图", None),
    ("a hare ||| a crow", 2),
    ("Create 4 posters of chairs arranged in a row", 4),
    ("a hare\n---\na crow\n---\na cat", 3),
    ("A hare in the snow, part 1 of 3", 3),
    ("A hare in the snow (part 1/3)", 3),
    ("四连图，兔子的一天", 4),
    ("Drei Motive: Hase, Krähe, Katze", 3),
    ("Haz tres: liebre, cuervo, gato", 3),
    ("A carousel about hares", None),
    ("Draw a hare. Then draw a second picture with a crow.", None),
    ("Je ein Bild von Hase und Krähe", None),
]

NONE = [
    "Create 4 dragons",
    "Make 4 cupcakes on a plate, food photo",
    "a 4-panel comic about a hare",
    "A comic with 4 panels",
    '"Two Images" written in neon',
    'A poster that says "3 photos a day"',
    "墙上写着“三张图片”",
    "A man. Create a collage of 4 images",
    "A hare. Create 4 images in a 2x2 grid",
    "桌上有三张照片",
    "女孩手里拿着两张照片",
    "三个女孩的照片",
    "三张照片挂在墙上",
    "Five pictures in a family album",
    "A room with 12 balloons and photos",
    "A two-panel manga.\nPanel 1: a hare.\nPanel 2: a crow.",
    "Panel 4 title: 'Repair photos'",
    "",
    "a hare at dawn",
    "a cat with 3 legs",
    "two hares in one picture",
    "an image of 3 hares",
    "a candid street, like Galaxy 24 photos",
    "sharp as iPhone 15 photos of a cat",
    "iPhone 15 photos of a cat",
    "grainy, in the style of Voyager 2 photographs",
    "rendered like Blender 4 images, a castle",
    "in the style of 2024 illustrations",
    "photos, 1990 images of Paris",
    "4K images of hares",
    "35mm photos",
    "2048 x 2048 images of hares",
    "a v3 images folder",
    "version 1.3 images",
    "image 3 of a hare",
    "a wall with three photos",
    "a wall covered by 12 pictures",
    "a web page showing 3 illustrations of plants",
    "a desk with a phone, two printed photos, a lamp",
    "a collage of 4 images",
    "Triptych: three images in one frame",
    "Split screen, two images side by side",
    "the first two images are dark",
    "3 image frames on a shelf",
    "Infographic about tea.\n1. Leaves\n2. Water\n3. Time",
    "A newsletter page with pictures.\n1. Title\nlarge, blue\n2. Body\nsmall, black",
    "A hare in the wood.\n1. Keep the face\n2. Change the light",
    "One comic page, 2x2 grid. Panel 1: a hare. Panel 2: a crow.",
    "一张兔子的照片",
    "两张桌子和四把椅子",
    "第三张图片中的兔子",
    "一张海报，下方有五幅小小的风景缩略图",
    "帽子的细节(两图)，鞋子的细节(三图)",
    "Turn my 4 images into a stamp",
    "A series of hares.\nRules of the page:\n1. one hare\n2. one crow",
    "九宫格拼图，包含9张图片",
    "1枚目の画像の兎",
    "sıx images",
    "Apollo 12 photographs look, the moon",
    "Area 52 photos",
    "Route 66 photographs",
    "A boy looks at 4 images on a tablet",
    "a nurse comparing two images on a screen",
    "a man browsing 40 images on a phone",
    "double exposure of two images",
    "Three posters on a brick wall",
    "a blend of two images",
    "壁に絵が3枚ある部屋",
    "그림 세 장을 들고 있는 여자",
    "An image of a hare and another hare behind it",
    "an image of a hare, with the image of a crow on its shirt",
    "a hare at place #1",
    "Player #1 and player #2 shake hands",
    "a hare --ar 16:9 --v 6 --s 250",
    '{"subject": "a hare", "count": 4}',
    '{"style": "flat", "colors": ["red", "blue"], "elements": ["hare", "crow"]}',
    "[PLANT 1] beside [PLANT 2]",
    "A tall photo divided into three sections. First image: a hare. Second image: a crow.",
    "主题：漫画风格的 4 格故事。在所有 4 张图片中保持为同一只兔子",
    "A scene with posters. Show two machines without boxes: 1) a mill 2) a press",
    "请将鞋子的图案分别绘制出来",
    "portrait, 1/2 body, ISO 100, 1/250s",
    'a poster with the text "Part 1 of 3"',
    "a bowl for each of the four seasons",
    "two pairs of shoes, 2 sets of cutlery",
    "A hare. Negative prompt: multiple images, several photos",
    "a hare, no multiple images",
    "A stack of rounded cards. Card 1: red. Card 2: blue.",
    "Your hare on the left.\nPhoto 1 on the left\nPhoto 2 on the right",
    "Eine Infografik in zwei Abschnitten: 1) Tee 2) Wasser",
    "TITRE : Storyboard sur une page\n1. Pot de miel\n2. Cuillère",
    "墙上挂着一系列照片",
    "墙上有一个图像序列",
    "生成一个包含9张图像网格的剧照",
    "每个窗户里有一只猫",
    "Show two tools as parts of one machine, without boxed panels: 1) a saw, cutting; 2) a drill, turning",
    "Create four versions of the hare, arranged in order of age",
    "Create two designs of a cup, to be arranged in a row",
    "绘制兔子的四个版本，并按顺序排列",
    "a sign that says part 1 of 3",
    "A carousel at a fair",
    "two motifs on a plate",
    "一张海报，生成 2:3 图片",
    "A hare at night.\n---\nStyle: ink\nColours: blue, grey",
]


@pytest.mark.parametrize(("text", "count"), CERTAIN)
def test_a_count_that_opens_the_text_is_certain(text, count):
    assert named_count(text) == NamedCount(count, ANY, certain=True)


@pytest.mark.parametrize(("text", "count"), LISTS)
def test_a_list_of_scenes_is_as_many_images_and_is_sent_with_its_count(text, count):
    assert named_count(text) == NamedCount(count, ANY, certain=True, listed=True)
    request = ImageSetRequest.build(prompt=text)
    assert (request.max_images, request.prompt) == (count, f"{count} images. {text}")


@pytest.mark.parametrize(("text", "count"), UNSURE)
def test_a_count_that_may_be_meant_is_refused_with_what_was_found_and_the_way_out(text, count):
    named = named_count(text)
    assert named == NamedCount(count, ANY, certain=False, listed=ANY)
    with pytest.raises(InvalidInputError, match=r"not clear how many images") as refusal:
        ImageSetRequest.build(prompt=text)
    assert named.found[:80] in str(refusal.value)
    assert f'Begin it with "{count or 1} image' in str(refusal.value)
    assert f"give max_images={count or 1}" in str(refusal.value)


@pytest.mark.parametrize("text", NONE)
def test_a_number_that_counts_no_images_is_no_count(text):
    assert named_count(text) is None


@pytest.mark.parametrize("max_images", [1, 2, 15])
@pytest.mark.parametrize(("text", "count"), UNSURE)
def test_max_images_settles_what_is_unsure(text, count, max_images):
    request = ImageSetRequest.build(prompt=text, max_images=max_images)
    opening = "1 image." if max_images == 1 else f"{max_images} images."
    assert (request.max_images, request.prompt) == (max_images, f"{opening} {text}")
    assert ImageSetRequest.build(prompt=request.prompt).prompt == request.prompt


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Create 3 pencil images of a hare", "names 3 images"),
        ("生成3张图片：兔子", "names 3 images"),
        ("Scene 1: a hare. Scene 2: a crow.", "tells 2 scenes"),
    ],
)
def test_max_images_against_a_count_that_opens_the_text_is_refused_naming_both(text, names):
    with pytest.raises(InvalidInputError, match=rf"max_images=4 is refused: the prompt {names}"):
        ImageSetRequest.build(prompt=text, max_images=4)


@pytest.mark.parametrize(
    "text",
    [
        "Combine the two images into one",
        "Combine these two photos into a single poster",
        "Put the hare of the 2 images on a boat",
        "Generate a poster out of the two pictures",
        "Image 1: a dress. Image 2: a woman. Put it on.",
        "图1：裙子。图2：模特。换上。",
        "Change the 3 images of the wall into a series of images",
        "Two images of my hare are given: make one portrait",
        "3 photos → 1 poster",
        "2 photos attached. Blend them into one.",
        "3枚の画像を合成して",
        "세 장의 사진을 합쳐줘",
        "三张图片合成为一张",
        "Dos fotos adjuntas: un retrato",
        "Make 2 photos into one",
        "The first image is the face, the second image is the pose",
        "第一张图是人物，第二张图是衣服",
    ],
)
def test_numbers_of_reference_images_are_no_count(text):
    request = ImageSetRequest.build(prompt=text, images=LINKS)
    assert (request.max_images, request.prompt) == (1, text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Generate 3 images of this hare", 3),
        ("2 images. First, a hare. Second, a crow.", 2),
        ("4 images of this hare in the seasons", 4),
        ("参考图1，生成四图片", 4),
        ("Scene 1: the hare of image 1 wakes. Scene 2: it runs.", 2),
    ],
)
def test_with_reference_images_what_opens_the_text_counts(text, count):
    assert ImageSetRequest.build(prompt=text, images=LINKS).max_images == count


@pytest.mark.parametrize(
    "text",
    [
        "3 photos of one dog, make one portrait",
        "Two images: put the coat on the man",
        "2张照片：合成一张",
        "两张照片，换脸",
        "Figure 1 is the cup. Generate 4 images of a shelf",
        "图1是猫。生成4张海报",
        "First image: a coat. Second image: a man. Combine.",
        "第一张：人物，第二张：衣服，换装",
        "Make each uploaded photo its own poster, one output each",
        "把每一张照片做成海报，每张照片需单独输出",
    ],
)
def test_counts_that_may_be_of_the_references_or_of_the_set_are_refused(text):
    with pytest.raises(InvalidInputError, match=r"not clear how many images"):
        ImageSetRequest.build(prompt=text, images=LINKS)
    assert ImageSetRequest.build(prompt=text, images=LINKS, max_images=2).max_images == 2


def test_an_option_that_counts_images_is_refused_with_reference_images_too():
    with pytest.raises(InvalidInputError, match=r'not clear how many images.*"4 images\."'):
        ImageSetRequest.build(prompt="Put this hare on a boat --n 4", images=LINKS)


def test_steps_for_an_edit_are_refused_as_they_may_be_scenes():
    with pytest.raises(InvalidInputError, match=r"not clear how many images.*1\. … 2\."):
        ImageSetRequest.build(prompt="1. keep the face\n2. change the light", images=LINKS)


@given(st.integers(2, 15), st.sampled_from(["images", "pictures", "photos", "illustrations"]), st.text())
def test_digits_and_words_name_the_same_count(count, noun, text):
    for number in (str(count), WORDS[count - 1]):
        assert named_count(f"Make {number} {noun}. {text}") == NamedCount(count, ANY, certain=True)


@given(st.integers(1, 15), st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_a_count_at_the_very_start_decides_whatever_follows(count, text):
    for references in (True, False):
        named = named_count(f"{count} images. {text}", references=references)
        assert named == NamedCount(count, ANY, certain=True)


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_what_is_sent_is_read_as_it_was_asked_for(text):
    try:
        request = ImageSetRequest.build(prompt=text)
    except InvalidInputError:
        return
    again = ImageSetRequest.build(prompt=request.prompt)
    assert (again.prompt, again.max_images) == (request.prompt, request.max_images)


@pytest.mark.parametrize(
    "piece",
    ["1 ", "one ", "one-", "参考图 ", "第", "一系列", ". Scene 1(", "Scene 1: ", "three-", "1 a:", "- ", "\n1. ", ", 2 images", "，2张图",
     "a series of ", "First, ", "[" , "  ", "生成", "no grid, ", "an image and ", "each ", "#1 a\n", "a series of images, no ", "一张和"],
)  # fmt: skip
def test_a_long_text_is_read_in_moments(piece):
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    named_count(text)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("text", ["ı", "ı. a hare", "ı. a hare\nıı. a crow"])
def test_a_letter_that_only_looks_like_a_number_counts_nothing(text):
    assert named_count(text) is None or not named_count(text).certain
