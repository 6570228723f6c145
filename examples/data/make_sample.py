"""The sample data of the quick start: an invented town, Lantern Bay (灯湾), in English and Chinese.

Everything is made up. Run it in this folder to write facts.tsv, questions.tsv, test.tsv, diary.txt and leaderboard.csv again; the same files come out.
"""
import math
import random

draw = random.Random(8802)

PEOPLE = """Dave Marlow|Iris Chen|Omar Haddad|Lena Fischer|Tom Okafor|Mei Tanaka|Paul Renner|Ana Sousa|Kofi Mensah|Ruth Adler|
Nils Berg|Clara Dunn|Hugo Blanc|Sara Lind|Ivan Petrov|Maya Rao|Joan Vidal|Peter Falk|Nora Quinn|Samir Nasser|
Emma Stone-Reed|Luis Ortega|Greta Holm|Adam Wolski""".replace("\n", "").split("|")
JOBS = ["harbour master", "baker", "teacher", "nurse", "carpenter", "librarian", "ferry captain", "gardener", "electrician", "cook", "postman", "vet"]
STREETS = ["Mill Lane", "Harbour Road", "Elm Street", "Chapel Hill", "Station Road", "Quay Street", "Orchard Way"]
CLUBS = ["chess club", "choir", "rowing club", "book circle", "cycling club", "theatre group"]
INSTRUMENTS = ["violin", "piano", "guitar", "flute", "cello", "trumpet", "accordion"]

SHOPS = "晨星书店|老船长面馆|青石茶馆|海鸥照相馆|小满花店|北岸自行车行|白帆咖啡馆|三味药房|石榴裁缝铺|蓝灯乐器行|橡树文具店|四季果园|阿福豆腐坊|望潮旅馆|银杏眼镜店|麦田面包房|灯塔钟表店|半山陶艺馆|清泉澡堂|顺风修车铺|云雀唱片店|南桥五金店|竹影餐厅|归帆渔具店".split("|")
SURNAMES = "林陈周吴郑王冯蒋沈韩杨许何吕施张孔曹严华"
GIVEN = "晓文|建国|雨桐|思远|秀兰|子涵|海波|明月|长青|小莉|志强|春燕|一帆|静怡|大勇".split("|")
ROADS = "灯塔路|海堤街|桂花巷|书院路|码头街|南桥路|榕树巷".split("|")
GOODS = {
    "书店": "书和地图", "面馆": "牛肉面", "茶馆": "绿茶", "照相馆": "证件照", "花店": "鲜花", "自行车行": "自行车", "咖啡馆": "手冲咖啡", "药房": "中药", "裁缝铺": "旗袍",
    "乐器行": "二胡", "文具店": "毛笔", "果园": "苹果", "豆腐坊": "豆腐", "旅馆": "海景房", "眼镜店": "眼镜", "面包房": "全麦面包", "钟表店": "怀表", "陶艺馆": "陶杯", "澡堂": "温泉", "修车铺": "轮胎",
    "唱片店": "黑胶唱片", "五金店": "螺丝", "餐厅": "清蒸鱼", "渔具店": "鱼竿",
}

# The last two wordings of each relation are for testing alone. {S} is the subject.
ENGLISH = {
    "phone": ["what is the phone number of {S}?", "phone of {S}", "how can I call {S}?", "{S}'s phone number", "which number do I dial to reach {S}?", "telephone number {S}", "on what number can {S} be reached?", "I want to ring {S}", "give me the phone number of {S}", "can you tell me the telephone of {S}?", "what number do I call for {S}?"],
    "job": ["what does {S} do for a living?", "what is {S}'s job?", "job of {S}", "what does {S} work as?", "what is the profession of {S}?", "{S} occupation", "how does {S} earn money?", "which trade has {S}?", "what work does {S} do?", "what is the job of {S}?", "tell me what {S} works as"],
    "street": ["where does {S} live?", "which street does {S} live in?", "street of {S}", "what is the address of {S}?", "{S}'s home street", "at which address is {S} at home?", "home of {S}", "where is the house of {S}?", "which street is {S}'s house in?", "where is {S}'s home?", "address of {S}"],
    "birthday": ["when is {S}'s birthday?", "birthday of {S}", "when was {S} born?", "on which day does {S} celebrate a birthday?", "what is the date of birth of {S}?", "{S} date of birth", "when do we congratulate {S}?", "what day was {S} born on?", "which date is {S}'s birthday?", "when does {S} have a birthday?", "birth date of {S}"],
    "club": ["which club is {S} in?", "club of {S}", "what group does {S} belong to?", "what club does {S} go to?", "{S} is a member of what?", "which society has {S} joined?", "membership of {S}", "where does {S} meet others in the evening?", "what club is {S} a member of?", "which group is {S} in?", "what club does {S} belong to?"],
    "instrument": ["what instrument does {S} play?", "instrument of {S}", "what does {S} play?", "which instrument can {S} play?", "{S}'s instrument", "on what does {S} make music?", "musical instrument {S}", "what is {S} practising on?", "which instrument is {S}'s?", "what instrument has {S} learned?", "what musical instrument does {S} play?"],
}
CHINESE = {
    "地址": ["{S}在哪里？", "{S}的地址", "{S}怎么走？", "{S}在哪条路上？", "去{S}要到什么地方？", "{S}开在哪儿？", "{S}位于哪里？", "怎么去{S}？", "请问{S}在什么位置？", "{S}的地址是什么？", "{S}在什么路？"],
    "营业时间": ["{S}几点开门？", "{S}的营业时间", "{S}什么时候营业？", "{S}开到几点？", "{S}几点关门？", "{S}几点到几点营业？", "什么时间可以去{S}？", "{S}每天的营业时间是？", "{S}今天开到什么时候？", "{S}什么时候开门？", "{S}营业到几点？"],
    "老板": ["{S}的老板是谁？", "{S}是谁开的？", "谁经营{S}？", "{S}的店主叫什么？", "{S}的老板", "{S}归谁管？", "谁是{S}的主人？", "{S}的老板叫什么名字？", "{S}的店主是哪位？", "谁是{S}的老板？", "{S}的店主是谁？"],
    "电话": ["{S}的电话是多少？", "怎么打电话给{S}？", "{S}的电话号码", "{S}的联系方式", "打什么号码能找到{S}？", "{S}电话", "{S}的号码是几号？", "我想给{S}打电话", "怎样联系{S}？", "{S}的电话号码是多少？", "给{S}打电话打哪个号码？"],
    "招牌商品": ["{S}卖什么？", "{S}什么最有名？", "{S}的招牌商品是什么？", "在{S}可以买到什么？", "{S}有什么好东西？", "{S}的招牌是什么？", "去{S}买什么好？", "{S}主打什么商品？", "{S}有什么招牌？", "{S}主要卖什么？", "{S}的商品里什么最有名？"],
    "开业年份": ["{S}是哪年开的？", "{S}什么时候开业的？", "{S}的开业年份", "{S}是哪一年成立的？", "{S}从哪年开始营业的？", "{S}创办于哪一年？", "{S}开了多少年了？", "{S}是什么年代的店？", "{S}的历史有多久？", "{S}哪一年开业？", "{S}是哪一年开的？"],
}

facts = []
for name in PEOPLE:
    facts += [
        (name, "phone", f"555-{draw.randrange(1000, 10000)}"),
        (name, "job", draw.choice(JOBS)),
        (name, "street", f"{draw.randrange(1, 60)} {draw.choice(STREETS)}"),
        (name, "birthday", f"{draw.randrange(1, 29)} {draw.choice('January February March April May June July August September October November December'.split())}"),
        (name, "club", draw.choice(CLUBS)),
        (name, "instrument", draw.choice(INSTRUMENTS)),
    ]
for shop in SHOPS:
    goods = next(goods for kind, goods in GOODS.items() if shop.endswith(kind))
    opens = draw.randrange(6, 11)
    facts += [
        (shop, "地址", f"{draw.choice(ROADS)}{draw.randrange(1, 90)}号"),
        (shop, "营业时间", f"{opens}:00–{opens + draw.randrange(8, 13)}:00"),
        (shop, "老板", draw.choice(SURNAMES) + draw.choice(GIVEN)),
        (shop, "电话", f"6{draw.randrange(100000, 1000000)}"),
        (shop, "招牌商品", goods),
        (shop, "开业年份", str(draw.randrange(1921, 2021))),
    ]

train, test = [], []
for subject, relation, _ in facts:
    wordings = (ENGLISH | CHINESE)[relation]
    train += [(wording.replace("{S}", subject), subject, relation) for wording in draw.sample(wordings[:-2], 3)]
    if draw.random() < 0.25:
        test.append((draw.choice(wordings[-2:]).replace("{S}", subject), subject, relation))
draw.shuffle(train)
draw.shuffle(test)

# A diary of the town: a document a day.
MONTHS = ["March", "April", "May"]
WEATHER = ["fog over the harbour", "a clear morning", "rain until noon", "wind from the north", "a warm day"]
DID = [
    "{a}, the {job}, practised the {instrument} on {street} until the lamps were lit.",
    "{a} met {b} at the {club}; they talked about the boats.",
    "{a} asked {b} for the number of the ferry office and wrote it down.",
    "The {club} sang and played at the quay, and {a} brought bread for all.",
    "{a} walked up {street} with {b} and came back alone.",
]
ZH_DID = [
    "{shop}今天来了很多客人，{goods}卖得最快。",
    "{boss}在{shop}门口挂起了一盏新灯。",
    "下午有人在{road}上问{shop}怎么走。",
    "{shop}打烊以后，{boss}去码头看船。",
]
known = {}
for subject, relation, object in facts:
    known.setdefault(subject, {})[relation] = object
people = [subject for subject in known if "job" in known[subject]]
shops = [subject for subject in known if "老板" in known[subject]]
diary = []
for month in MONTHS:
    for day in range(1, 31):
        diary.append(f"== {day} {month} ==")
        diary.append(f"There was {draw.choice(WEATHER)}.")
        for _ in range(3):
            a, b = draw.sample(people, 2)
            diary.append(draw.choice(DID).format(a=a, b=b, job=known[a]["job"], instrument=known[a]["instrument"], club=known[a]["club"], street=known[a]["street"].split(" ", 1)[1]))
        for _ in range(3):
            shop = draw.choice(shops)
            diary.append(draw.choice(ZH_DID).format(shop=shop, boss=known[shop]["老板"], goods=known[shop]["招牌商品"], road=draw.choice(ROADS)))

# A leaderboard whose two printed means are not of the same columns.
SYSTEMS = ["Beacon-L", "Beacon-S", "Gull", "Heron", "Tern", "People"]
LEVELS = [(88.1, 84.7, 79.9, 61.3), (84.2, 80.3, 76.4, 55.0), (86.9, 83.5, 81.2, 64.8), (82.5, 85.1, 74.0, 58.9), (79.3, 77.7, 70.6, 49.2), (87.2, 82.6, 80.4, 93.5)]
leaderboard = [("System", "Reading", "Arithmetic", "Translation", "Common sense", "Average", "Geometric mean")]
for system, scores in zip(SYSTEMS, LEVELS):
    leaderboard.append((system, *map(str, scores), f"{sum(scores[:3]) / 3:.2f}", f"{math.prod(scores) ** 0.25:.2f}"))

def write(path, rows, separator="\t"):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(separator.join(row) + "\n" for row in rows)

write("facts.tsv", facts)
write("questions.tsv", train)
write("test.tsv", test)
write("diary.txt", [(line,) for line in diary])
write("leaderboard.csv", leaderboard, ",")
print(len(facts), "facts", len(train), "questions", len(test), "test questions", sum(map(len, diary)), "characters")
