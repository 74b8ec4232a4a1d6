"""Questions that the demo model was not made for, which it has to decline: the fallback skill."""

from __future__ import annotations

from random import Random

from qwen3cli.demo.skills import words
from qwen3cli.demo.skills.wordings import ZH

TASKS_EN = (
    "Write a poem about {x}",
    "Write an essay about {x}",
    "Write a story about {x}",
    "Write code for {x}",
    "Explain {x}",
    "Explain {x} to me.",
    "What is {x}?",
    "Why is {x} so important?",
    "Why do people like {x}?",
    "Who invented {x}?",
    "When was {x} discovered?",
    "Where can I buy {x}?",
    "Tell me a joke about {x}.",
    "Tell me about {x}.",
    "Give me advice on {x}.",
    "List ten facts about {x}.",
    "Summarize the history of {x}.",
    "Compare {x} and {y}.",
    "Which is better, {x} or {y}?",
    "How does {x} work?",
    "How do I learn {x}?",
    "What do you think about {x}?",
    "Is {x} dangerous?",
    "Draw {x}.",
    "Can you help me with {x}?",
    "Where is {n}?",
    "Who is {n}?",
    "What is the capital of {n}?",
    "How many people live in {n}?",
    "Book a flight to {n}.",
    "Send an email to {n}.",
    "Why is the sky {x}?",
    "Fix this bug: {x}",
    "def {w}(x): return {w}",
    "SELECT {w} FROM {w}",
    "Play {x}.",
    "Recommend a book about {x}.",
    "I feel sad about {x}.",
    "How far is {n} from {m}?",
    "Make a plan for {x}.",
    "Is {n} a good place?",
    "How old is {n}?",
    "Sing about {x}.",
    "What happened in {big}?",
    "Count to {big}.",
    "What is {big} + {bigger}?",
    "What is {big} - {small}?",
    "{big} * {small}",
    "{small} * {small2}",
    "{small} - {small2}",
    "What is {small} times {small2}?",
    "{big} + {small}",
    "{small} / {small2}",
    "Subtract {small} from {small2}.",
    "{small} minus {small2}",
)
TASKS_ZH = (
    "写一首关于{x}的诗",
    "写一篇关于{x}的文章",
    "解释一下{x}",
    "什么是{x}?",
    "为什么{x}很重要?",
    "谁发明了{x}?",
    "讲一个关于{x}的笑话",
    "讲讲{x}的历史",
    "{x}和{y}哪个好?",
    "{x}是怎么工作的?",
    "怎么学习{x}?",
    "你觉得{x}怎么样?",
    "{n}在哪里?",
    "{n}是谁?",
    "帮我写{x}的代码",
    "给我一些{x}的建议",
    "推荐一本{x}的书",
    "去{n}怎么走?",
    "把{x}翻译成英文",
    "{x}危险吗?",
    "{big}加{bigger}等于多少?",
    "{small}乘{small2}等于几?",
    "{small}减{small2}",
    "唱一首歌",
    "今天星期几?",
    "画一张{x}的画",
    "我很难过",
    "为什么天是蓝的?",
    "{n}有多少人?",
)
# Declined only where no tool is offered: with the right one they are calls.
TOOLS_EN = (
    "Translate {x} into French.",
    "What is the weather in {n}?",
    "What time is it in {n}?",
    "Look up {n}.",
    "What does {w} mean?",
    "Find {n} on the web.",
    "Read the file {w}.",
    "How is the weather in {n}?",
    "Define {w}.",
    "What is the {w} of {n}?",
)
TOOLS_ZH = ("{n}的天气怎么样?", "{n}现在几点?", "搜索{n}", "翻译{n}", "{n}的股价是多少?")
TOPICS_EN = (
    "the sea, the moon, love, quantum physics, the stock market, photosynthesis, black holes, football, "
    "jazz music, machine learning, the French revolution, a sorting function, web servers, cooking rice, "
    "the human brain, history, climate change, dogs, cats, my garden, the internet, space travel, "
    "democracy, chess, the weather, coffee, blue, mathematics, my homework, a red car, old books, time, "
    "money, the meaning of life, art, dinosaurs, electricity, a binary tree, trees, the number seven, a "
    "sad song, winter, my boss, good manners, three wishes, a website, a letter to my friend"
).split(", ")
TOPICS_ZH = (
    "大海 月亮 爱情 量子物理 股票 光合作用 黑洞 足球 音乐 机器学习 历史 排序 网站 做饭 大脑 气候 狗 猫 花园 "
    "互联网 太空 象棋 咖啡 数学 作业 汽车 书 时间 金钱 人生 艺术 恐龙 电 树 冬天 老板 春天 中国 世界 电影"
).split()
LOOSE_EN = (
    "the of to and in that it was for on are with as his they at be this from have or by one had not but "
    "what all were when we there can an your which their said if do will each about how up out them then "
    "she many some so these would other into has more her two like him see time could no make than first "
    "been its who now people my made over did down only way find use may water long little very after "
    "words called just where most know why give me please tell write explain house tree fish dream green "
    "old cold never always best worst run jump"
).split()
LOOSE_ZH = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面"
)


def fill(task: str, rng: Random, chinese: bool) -> str:
    """Return TASK with something random in its slots."""
    topics = TOPICS_ZH if chinese else TOPICS_EN
    slots = {
        "x": rng.choice(topics) if rng.random() < 0.7 else words.noun(rng),
        "y": rng.choice(topics),
        "n": words.name(rng, chinese),
        "m": words.name(rng, chinese),
        "w": words.noun(rng).replace(" ", "_"),
        "big": rng.randint(21, 999),
        "bigger": rng.randint(21, 999),
        "small": rng.randint(0, 20),
        "small2": rng.randint(0, 20),
    }
    return task.format(**slots)


def question(rng: Random, language: str, offered: bool) -> str:
    """Return a question that no skill answers: mostly a task with a topic, else loose words.

    OFFERED: some tool is at hand, so a question that asks for a tool is left out.
    """
    chinese = language == ZH
    kind = rng.random()
    if kind < 0.15 and not offered:
        return fill(rng.choice(TOOLS_ZH if chinese else TOOLS_EN), rng, chinese)
    if kind < 0.75:
        return fill(rng.choice(TASKS_ZH if chinese else TASKS_EN), rng, chinese)
    if chinese:
        return "".join(rng.choice(LOOSE_ZH) for _ in range(rng.randint(3, 12))) + rng.choice(["", "?", "。"])
    loose = [
        rng.choice(LOOSE_EN) if rng.random() < 0.8 else words.word(rng) for _ in range(rng.randint(2, 10))
    ]
    text = " ".join(loose)
    return (text.capitalize() if rng.random() < 0.5 else text) + rng.choice(["", "?", ".", "!"])
