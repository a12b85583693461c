//! The words that invented people are made of: a table for each locale.

/// What people of one locale are called, where they live and how they write money.
pub struct Country {
    pub locale: &'static str,
    /// As written, and in letters that an address may have.
    pub first_names: &'static [(&'static str, &'static str)],
    pub last_names: &'static [(&'static str, &'static str)],
    pub cities: &'static [&'static str],
    pub streets: &'static [&'static str],
    /// How a street and a house number go together.
    pub street: &'static str,
    pub money: &'static str,
    /// Letters for markers.
    pub letters: &'static str,
}

pub const DOMAINS: &[&str] = &["example.test", "mail.example", "post.test", "people.example"];

/// Makes a first and a last name awkward.
pub type Twist = fn(&str, &str) -> (String, String);

/// Names that real lists hold and careless code breaks on. None holds a line break or a brace: those are attacks,
/// and the tests that need them bring their own.
pub const TWISTS: &[Twist] = &[
    |first, last| (first.to_owned(), format!("O'{last}")),
    |first, last| (format!("{first} \"Sunny\""), last.to_owned()),
    |first, last| (first.to_owned(), format!("{last}, Jr.")),
    |first, last| (format!("{first} 🌻"), last.to_owned()),
    |first, last| (first.to_owned(), format!("{last} <{last}>")),
    |first, last| (first.to_owned(), format!("{last} & Partner")),
    |first, last| (first.to_owned(), format!("{last} \\ {last}")),
    |first, last| (first.to_owned(), [last; 40].join("-")),
    |first, last| (format!("{first} (100%)"), format!("{last}; {last}: =?x?=")),
    |first, last| (format!("{first}\u{301}"), format!("{last}·👩\u{200d}🚀")),
];

/// Repeated locales are meant: the languages that the sample templates speak come more often.
pub const COUNTRIES: &[Country] =
    &[ENGLISH, ENGLISH, HEBREW, HEBREW, PERSIAN, PERSIAN, JAPANESE, JAPANESE, GERMAN, FRENCH, GREEK];

const ENGLISH: Country = Country {
    locale: "en",
    first_names: &[
        ("Rosalind", "rosalind"),
        ("Thaddeus", "thaddeus"),
        ("Imogen", "imogen"),
        ("Barnaby", "barnaby"),
        ("Siobhán", "siobhan"),
        ("Zoë", "zoe"),
    ],
    last_names: &[
        ("O'Hanlon", "o'hanlon"),
        ("Featherstone", "featherstone"),
        ("Okonkwo-Reilly", "okonkwo-reilly"),
        ("MacAllister", "macallister"),
        ("Whitcombe", "whitcombe"),
        ("D'Arcy", "d'arcy"),
    ],
    cities: &["Little Sampleton", "Exmouthly", "North Trialford", "Saint Mocking"],
    streets: &["Rosemary Lane", "Ferryman's Walk", "Old Chandlery Road", "Quince Terrace"],
    street: "{house} {street}",
    money: "£{thousands},{units}.{cents}",
    letters: "abcdefghijklmnopqrstuvwxyz",
};

const HEBREW: Country = Country {
    locale: "he",
    first_names: &[
        ("דניאלה", "daniela"),
        ("איתמר", "itamar"),
        ("נועה", "noa"),
        ("אליהו", "eliyahu"),
        ("רז", "raz"),
        ("שירה", "shira"),
    ],
    last_names: &[
        ("לוי־כהן", "levi-cohen"),
        ("אברהמי", "avrahami"),
        ("בן־דוד", "ben-david"),
        ("שפירא", "shapira"),
        ("ג'בארין", "jabarin"),
        ("מזרחי", "mizrahi"),
    ],
    cities: &["קריית דוגמה", "נווה משל", "מעלה ניסוי"],
    streets: &["רחוב האלון", "שדרות הנרקיס", "סמטת הזית"],
    street: "{street} {house}",
    money: "₪ {thousands},{units}.{cents}",
    letters: "אבגדהוזחטיכלמנסעפצקרשת",
};

const PERSIAN: Country = Country {
    locale: "fa",
    first_names: &[
        ("زهرا", "zahra"),
        ("آرش", "arash"),
        ("نیلوفر", "niloufar"),
        ("کیوان", "keyvan"),
        ("پریسا", "parisa"),
        ("امیرحسین", "amirhossein"),
    ],
    last_names: &[
        ("کریمی\u{200c}نژاد", "kariminejad"),
        ("احمدی", "ahmadi"),
        ("پورمحمد", "pourmohammad"),
        ("یزدان\u{200c}پناه", "yazdanpanah"),
        ("گلستانی", "golestani"),
        ("چراغی", "cheraghi"),
    ],
    cities: &["سروستان بالا", "نیک\u{200c}آباد", "آزمون\u{200c}شهر"],
    streets: &["خیابان سرو", "کوچهٔ ارغوان", "بلوار نسترن"],
    street: "{street}، پلاک {house}",
    money: "€ {thousands},{units}.{cents}",
    letters: "ابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی",
};

const JAPANESE: Country = Country {
    locale: "ja",
    first_names: &[
        ("花子", "hanako"),
        ("健太郎", "kentaro"),
        ("さくら", "sakura"),
        ("ケイ", "kei"),
        ("美咲", "misaki"),
        ("大輔", "daisuke"),
    ],
    last_names: &[
        ("山田", "yamada"),
        ("小鳥遊", "takanashi"),
        ("髙橋", "takahashi"),
        ("渡邉", "watanabe"),
        ("佐々木", "sasaki"),
        ("𠮷野", "yoshino"),
    ],
    cities: &["東京都見本区", "大阪府例示市", "北海道試町"],
    streets: &["桜丘1丁目", "若葉台2丁目", "港南3丁目"],
    street: "{street}{house}番",
    money: "¥{thousands},{units}",
    letters: "あいうえおかきくけこさしすせそたちつてと山川田中村木林森花空海星月火水金土日",
};

const GERMAN: Country = Country {
    locale: "de",
    first_names: &[
        ("Jörg", "joerg"),
        ("Anneliese", "anneliese"),
        ("Günther", "guenther"),
        ("Käthe", "kaethe"),
    ],
    last_names: &[
        ("Müßiggang", "muessiggang"),
        ("von der Straße", "vonderstrasse"),
        ("Schönfelder", "schoenfelder"),
        ("Großkreutz-Öz", "grosskreutz-oez"),
    ],
    cities: &["Musterstadt", "Probenheim", "Übungen an der Aa"],
    streets: &["Lindenallee", "Bäckergasse", "Am Mühlbach"],
    street: "{street} {house}",
    money: "{thousands}.{units},{cents} €",
    letters: "abcdefghijklmnopqrstuvwxyzäöüß",
};

const FRENCH: Country = Country {
    locale: "fr",
    first_names: &[
        ("Éloïse", "eloise"),
        ("François", "francois"),
        ("Maëlys", "maelys"),
        ("Gaëtan", "gaetan"),
    ],
    last_names: &[
        ("L'Hôpital", "l'hopital"),
        ("Lefèvre-Dubœuf", "lefevre-duboeuf"),
        ("Châtaignier", "chataignier"),
        ("d'Épinay", "d'epinay"),
    ],
    cities: &["Exemple-sur-Seine", "Sainte-Épreuve", "Modèleville"],
    streets: &["rue de l'Érable", "allée des Cèdres", "quai aux Fleurs"],
    street: "{house}, {street}",
    money: "{thousands}\u{202f}{units},{cents}\u{a0}€",
    letters: "abcdefghijklmnopqrstuvwxyzàâçéèêëîïôûüœ",
};

const GREEK: Country = Country {
    locale: "el",
    first_names: &[
        ("Ελένη", "eleni"),
        ("Γιώργος", "giorgos"),
        ("Δήμητρα", "dimitra"),
        ("Αναστάσιος", "anastasios"),
    ],
    last_names: &[
        ("Παπαδόπουλος", "papadopoulos"),
        ("Χριστοδούλου", "christodoulou"),
        ("Αγγελίδης", "angelidis"),
        ("Ξενάκη", "xenaki"),
    ],
    cities: &["Παραδειγματούπολη", "Νέα Δοκιμή"],
    streets: &["Οδός Ελιάς", "Λεωφόρος Γιασεμιού"],
    street: "{street} {house}",
    money: "{thousands}.{units},{cents} €",
    letters: "αβγδεζηθικλμνξοπρστυφχψω",
};
