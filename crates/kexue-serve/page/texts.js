// All texts of the page, in English and Chinese.

const english = {
  skip: "Skip to the content", ask: "Ask", question: "Your question", placeholder: "Ask a question…",
  title: "Ask, and get a fact", about: "About", language: "中文", theme: "Theme", themeAuto: "Theme: system", themeLight: "Theme: light", themeDark: "Theme: dark",
  lead: "Every answer is a fact of the knowledge graph, or “I don’t know”. The model cannot make anything up: it spells its answer along an index of what the graph holds.",
  leadEmbedded: "This graph knows countries and chemical elements, in Chinese and English.",
  examples: "Try one of these", facts: n => n === 1 ? "1 fact" : `${n} facts`, relation: "relation", aliasOf: name => `alias of ${name}`, readOnly: "Read-only",
  found: n => n === 0 ? "No suggestions." : n === 1 ? "1 suggestion; use the arrow keys." : `${n} suggestions; use the arrow keys.`,
  unknown: "I don’t know", pinned: "pinned", confidence: "Confidence", asking: "Asking…",
  certain: "Almost certain", confident: "Confident", likely: "Likely", doubtful: "Doubtful", guess: "A guess",
  lacks: p => `The graph probably lacks the answer (${p}).`, low: p => `The best fact has a confidence of only ${p}, which is too low for an answer.`,
  best: "The best fact found", runners: "Runners-up", took: (words, subject) => `Took “${words}” for “${subject}”.`,
  composite: {
    comparison: "The question compares things; one fact cannot answer it.", several_subjects: "The question asks about several things; each is answered by itself.",
    several_relations: "The question asks for several things; each is answered by itself.", chain: "The question needs several steps; one fact cannot answer it.",
    negation: "The question asks for what is not so; a fact cannot answer it.",
    other: "The question asks for more than one fact says; this fact alone may not answer it.",
  },
  each: "One by one", decoding: "See the decoding", hideDecoding: "Hide the decoding", link: "Copy link", copied: "Link copied.",
  browse: name => `Browse ${name}`,
  treeTitle: "The decoding", treeLead: "The answer is spelt token by token along the index. At each choice only tokens that lead to a fact are allowed; where only one is allowed, nothing is computed.",
  start: "Start", mentioned: "named in the question", forced: "skipped: only one token is allowed", choices: n => `${n} allowed`, more: n => `${n} more`, gain: n => `look-ahead +${n}`,
  noChoice: "There was nothing to choose: the question names one subject, which has one fact.",
  legendToken: "token, with its probability among the allowed", legendForced: "forced, not computed", legendWon: "the way to the answer", beams: n => `${n} choices were made.`,
  elsewhere: n => `${n} more choices are on branches with a probability below 1 %`,
  weighed: "Evidence of learned rescoring", weighedLead: "Each piece of evidence raises or lowers the logit of a fact. The softmax of the logits gives the facts’ probabilities.",
  noWeights: "This model has no learned rescoring: the probabilities are those of the tree.",
  entity: "Facts", sense: s => s, showMore: "Show more", addFact: "Add a fact", edit: "Edit", back: "Back",
  unlock: "Unlock editing", lock: "Lock editing", tokenTitle: "Your token", tokenLead: "With a token of this service you can correct its facts. The token is kept in this tab until you close it.",
  tokenNeeded: "Reading from this service needs a token. It is kept in this tab until you close it.", token: "Token", badToken: "The service does not know this token.", noWrite: "This token does not allow changes.", enterToken: "Enter a token", forget: "Forget the token", save: "Save", cancel: "Cancel", ok: "OK",
  correct: "Correct this answer", correctTitle: "Correct the answer", what: "What is wrong?",
  pinOther: "Another fact answers this question", replaceObjects: "The fact is wrong", addObject: "A fact is missing", removeFact: "The fact does not belong here",
  pinWhich: "The right fact", otherFact: "Another fact:", subject: "Subject", relationField: "Relation", object: "Object", objects: "Objects, one a line",
  unpin: "Unpin", saved: "Saved.", undone: "Undone.", nothing: "There was nothing to change.", undo: "Undo", close: "Close", removeSure: "The whole fact will be removed.",
  offline: "The service cannot be reached", offlineDetail: "Is it still running? Your question is still in the box.", again: "Try again", home: "Back to the start",
  aboutTitle: "About this service", graph: "Graph", graphValue: (f, s, r) => `${f} facts, ${s} subjects, ${r} relations`, changes: "Changes since it was built", pins: "Pinned questions",
  model: "Model", modelValue: (p, l, d) => `${p} parameters: ${l} layers, ${d} wide`, searchField: "Search", searchValue: b => `beam of ${b}`, reranked: "learned rescoring",
  version: "Version", writing: "Editing", on: "with a token", offEmbedded: "off. The embedded graph cannot be changed. To change facts, start the service with a graph file and a file of tokens: kexue serve --kg GRAPH --token-file TOKENS",
  offNoTokens: "off. The service was started without tokens that allow changes; kexue serve --token-file TOKENS sets them", api: "API", apiLink: "description for programs (OpenAPI)", metrics: "metrics",
};

const chinese = {
  skip: "跳到正文", ask: "提问", question: "你的问题", placeholder: "想问什么？",
  title: "有问，必有据", about: "关于", language: "English", theme: "主题", themeAuto: "主题：跟随系统", themeLight: "主题：浅色", themeDark: "主题：深色",
  lead: "每个答案都是知识图谱中的一条事实，否则就是“不知道”。模型无法编造：它只能沿着图谱的索引逐字拼出答案。",
  leadEmbedded: "内置图谱收录各国与化学元素，中英文皆可。",
  examples: "试试这些", facts: n => `${n} 条事实`, relation: "关系", aliasOf: name => `“${name}”的别名`, readOnly: "只读",
  found: n => n === 0 ? "没有建议。" : `${n} 条建议，可用方向键选择。`,
  unknown: "不知道", pinned: "已固定", confidence: "把握", asking: "正在查找……",
  certain: "几乎确定", confident: "有把握", likely: "较可能", doubtful: "存疑", guess: "猜测",
  lacks: p => `图谱中很可能没有答案（${p}）。`, low: p => `最佳事实的把握只有 ${p}，不足以作答。`,
  best: "找到的最佳事实", runners: "其他候选", took: (words, subject) => `把“${words}”理解为“${subject}”。`,
  composite: {
    comparison: "这个问题要作比较，一条事实答不了。", several_subjects: "问的是几个事物，逐一作答。", several_relations: "问的是几件事，逐一作答。",
    chain: "这个问题需要几步推理，一条事实答不了。", negation: "问的是不成立的，事实答不了。", other: "问题问得比一条事实更多，仅凭它可能不够。",
  },
  each: "逐一作答", decoding: "查看解码过程", hideDecoding: "收起解码过程", link: "复制链接", copied: "链接已复制。",
  browse: name => `浏览“${name}”`,
  treeTitle: "解码过程", treeLead: "答案沿索引逐词元拼出。每次选择只允许通向某条事实的词元；只有一个时不必计算。",
  start: "起点", mentioned: "问题中提到", forced: "已跳过：只允许一个词元", choices: n => `${n} 个允许的词元`, more: n => `另有 ${n} 个`, gain: n => `前瞻 +${n}`,
  noChoice: "无需选择：问题只提到一个主体，它只有一条事实。",
  legendToken: "词元及其在允许词元中的概率", legendForced: "唯一选择，未计算", legendWon: "通往答案的路径", beams: n => `一路上共考察 ${n} 次选择。`,
  elsewhere: n => `另有 ${n} 次选择在概率不足 1 % 的分支上`,
  weighed: "重排模型的依据", weighedLead: "每项证据提高或降低一条事实的 logit；对各事实的 logit 作 softmax 即得概率。",
  noWeights: "此模型没有重排模型：概率即树中的概率。",
  entity: "事实", sense: s => s, showMore: "显示更多", addFact: "添加事实", edit: "修改", back: "返回",
  unlock: "解锁编辑", lock: "锁定编辑", tokenTitle: "你的令牌", tokenLead: "持有本服务的令牌即可更正事实。令牌只保存在此标签页，关闭即失。",
  tokenNeeded: "访问本服务需要令牌。令牌只保存在此标签页，关闭即失。", token: "令牌", badToken: "本服务不认识这个令牌。", noWrite: "这个令牌没有修改权限。", enterToken: "输入令牌", forget: "清除令牌", save: "保存", cancel: "取消", ok: "确定",
  correct: "更正答案", correctTitle: "更正答案", what: "哪里不对？",
  pinOther: "应由另一条事实回答", replaceObjects: "这条事实有误", addObject: "缺少一条事实", removeFact: "不该有这条事实",
  pinWhich: "正确的事实", otherFact: "另一条事实：", subject: "主体", relationField: "关系", object: "客体", objects: "客体，每行一个",
  unpin: "取消固定", saved: "已保存。", undone: "已撤销。", nothing: "没有需要修改的内容。", undo: "撤销", close: "关闭", removeSure: "整条事实将被删除。",
  offline: "无法连接服务", offlineDetail: "服务还在运行吗？你的问题仍在输入框中。", again: "重试", home: "回到首页",
  aboutTitle: "关于本服务", graph: "图谱", graphValue: (f, s, r) => `${f} 条事实，${s} 个主体，${r} 种关系`, changes: "建成后的修改", pins: "已固定的问题",
  model: "模型", modelValue: (p, l, d) => `${p} 个参数：${l} 层，宽 ${d}`, searchField: "搜索", searchValue: b => `束宽 ${b}`, reranked: "带重排模型",
  version: "版本", writing: "编辑", on: "须有令牌", offEmbedded: "关闭。内置图谱不能修改；要修改事实，请用自己的图谱文件和令牌文件启动服务：kexue serve --kg 图谱 --token-file 令牌文件",
  offNoTokens: "关闭。服务启动时没有指定写入令牌；可用 kexue serve --token-file 令牌文件 指定", api: "API", apiLink: "供程序使用的说明（OpenAPI）", metrics: "监控指标",
};

// The names of evidence, in Chinese; in English they are read as they are.
const evidence = {
  subject_log_probability: "主体的对数概率", fact_log_probability: "事实的对数概率", mention_length: "提及长度", mention_length_squared: "提及长度的平方",
  mention_position: "提及位置", relation_length: "关系长度", common_subsequence: "最长公共子序列", common_substring: "最长公共子串", shared_tokens: "共有词元比例",
  shared_information: "共有信息量", first_token_shared: "首词元相同", last_token_shared: "末词元相同", sense: "有义项", log_facts: "事实数的对数", new_words: "生词数",
  unexplained_information: "未解释的信息量", word_association: "词语与关系的关联", least_association: "最弱的关联", strange_words: "陌生词数", log_questions: "同类训练问题数的对数",
  unanswerable_association: "与不可答问题的关联", most_unanswerable_association: "与不可答问题的最强关联",
};

export const languages = { en: english, zh: chinese };

export function evidenceName(language, name) {
  return (language === "zh" && evidence[name]) || name.replaceAll("_", " ");
}
