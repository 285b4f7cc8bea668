"""Names for synthetic patients: many cultures, some surnames common and most rare, as in a real town."""

import random
from itertools import product

_WESTERN = (
    # Common surnames, pieces that rare ones are made of, women's and men's given names.
    (
        "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Groß",
        "Ober Unter Alten Neuen Hohen Linden Buchen Eichen Stein Wald Berg Roten Weiß Schwarz Gold",
        "dorf mann hofer bauer bacher hauser maier feld berger huber egger reuter kamp brink",
        "Anna Maria Ursula Monika Petra Sabine Renate Helga Karin Brigitte Ingrid Erika Claudia Käthe Jördis",
        "Hans Peter Wolfgang Klaus Jürgen Michael Thomas Andreas Stefan Karl-Heinz Günther Björn Jörg",
    ),
    (
        "Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Wright Walker O'Neill McDonald",
        "Ash Black Brad Carl Hart Hol King Long Mar North Pem Rad Stan Thorn West",
        "ford ley ton bury well wood field worth combe shaw by ham",
        "Mary Patricia Jennifer Linda Elizabeth Susan Jessica Sarah Karen Nancy Margaret Siobhan",
        "James John Robert Michael William David Richard Joseph Thomas Charles Declan",
    ),
    (
        "Nowak Kowalska Wiśniewski Wójcik Kamińska Lewandowski Zieliński Szymański Woźniak Dąbrowski",
        "Kowal Malin Jawor Brzoz Kalin Lip Dęb Sokol Wilk Zając Gór Piąt",
        "ski czyk owicz ewski ik ak icki owska ecka",
        "Anna Katarzyna Małgorzata Agnieszka Barbara Ewa Krystyna Magdalena Zofia Łucja",
        "Jan Andrzej Piotr Krzysztof Stanisław Tomasz Paweł Józef Łukasz Zbigniew",
    ),
    (
        "García González Rodríguez Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Nuñez",
        "Alta Bella Casa Monte Rio Santa Valle Villa Campo Torre",
        "marín verde mar nueva sol blanca rosa lobos cruz franca",
        "María Carmen Ana Isabel Laura Cristina Dolores Lucía Begoña Inés",
        "José Antonio Manuel Francisco Juan Javier Jesús Ángel Ramón",
    ),
    (
        "Yılmaz Kaya Demir Çelik Şahin Yıldız Öztürk Aydın Özdemir Arslan Doğan Kılıç",
        "Ak Kara Demir Yıldır Gök Altın Taş Kurt Er Boz",
        "oğlu soy kaya taş bay han çı dağ",
        "Fatma Ayşe Emine Hatice Zeynep Elif Şükriye Gülşen",
        "Mehmet Mustafa Ahmet Ali Hüseyin İbrahim Ömer Çağrı",
    ),
    (
        "Nguyễn Trần Lê Phạm Huỳnh Hoàng Phan Vũ Đặng Bùi",
        "Đinh Lương Trịnh Mai Tô Hà Cao",
        "",
        "Thị Hoa|Thị Lan|Thu Hương|Ngọc Anh|Mỹ Linh",
        "Văn Hùng|Minh Tuấn|Đức Anh|Quang Huy",
    ),
    (
        "Иванов Смирнова Кузнецов Попова Васильев Петрова Соколов Михайлова Новиков",
        "Бел Черн Красн Горн Лес Зим Вод Степ",
        "ов ева ский ова енко ин",
        "Анна Мария Елена Ольга Наталья Екатерина",
        "Александр Сергей Владимир Дмитрий Иван Пётр",
    ),
    (
        "Παπαδόπουλος Παπαδάκης Οικονόμου Γεωργίου Δημητρίου Νικολάου",
        "Αγγελ Βασιλ Γιανν Δημ Κων Νικ",
        "όπουλος άκης ίδης έλλης",
        "Μαρία Ελένη Αικατερίνη Σοφία",
        "Γεώργιος Ιωάννης Κωνσταντίνος Δημήτριος",
    ),
    (
        "Al-Masri Haddad Khalil Hussein Mansour Nasser Saleh El-Amin Abdullah",
        "Abu Ibn El- Al- Bin",
        "harbi qahtani shami baghdadi tikriti halabi sayed",
        "Fatima Aisha Maryam Zainab Layla Noor",
        "Mohammed Ahmed Omar Yusuf Khalid Tariq Hassan",
    ),
)

_EAST = (
    # Romanised, ideographic and phonetic surname; the same of given names.
    (
        (
            ("Yamada", "山田", "やまだ"),
            ("Sato", "佐藤", "さとう"),
            ("Suzuki", "鈴木", "すずき"),
            ("Itō", "伊藤", "いとう"),
        ),
        (("Tarou", "太郎", "たろう"), ("Hanako", "花子", "はなこ"), ("Yūko", "裕子", "ゆうこ"), ("Ken", "健", "けん")),
    ),
    (
        (("Wang", "王", ""), ("Li", "李", ""), ("Zhang", "张", ""), ("Chen", "陈", ""), ("Ouyang", "欧阳", "")),
        (("Xiaodong", "小东", ""), ("Wei", "伟", ""), ("Xiuying", "秀英", ""), ("Fang", "芳", "")),
    ),
    (
        (("Kim", "金", "김"), ("Lee", "李", "이"), ("Park", "朴", "박"), ("Hong", "洪", "홍")),
        (("Gildong", "吉洞", "길동"), ("Jiwoo", "智友", "지우"), ("Minjun", "民俊", "민준")),
    ),
)


def _words(text: str) -> list[str]:
    return text.split("|") if "|" in text else text.split()


_TABLES = tuple(
    (
        _words(common),
        [head + tail for head, tail in product(heads.split(), tails.split() or [""])],
        (_words(women), _words(men)),
    )
    for common, heads, tails, women, men in _WESTERN
)


def person_name(rng: random.Random, sex: str) -> str:
    """A PN value (PS3.5 6.2.1); one in nine has ideographic, most of those also phonetic groups."""
    if rng.random() < 0.11:
        families, given_names = rng.choice(_EAST)
        family, given = rng.choice(families), rng.choice(given_names)
        groups = ["^".join(pair) if all(pair) else "" for pair in zip(family, given, strict=True)]
        return "=".join(groups).rstrip("=")
    common, rare, given_by_sex = _TABLES[min(int(rng.expovariate(0.5)), len(_TABLES) - 1)]
    family = rng.choice(common) if rng.random() < 0.4 else rng.choice(rare)
    if rng.random() < 0.04:
        family += f"-{rng.choice(common)}"
    given = rng.choice(given_by_sex[sex != "F"])
    if rng.random() < 0.25:
        given += f"^{rng.choice(given_by_sex[sex != 'F'])}"
    return f"{family}^{given}"
