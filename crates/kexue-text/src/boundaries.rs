//! The places of a text where a name can occur: between boundaries of words, as people write them.
//!
//! Words are those of Unicode Standard Annex 29. Scripts without spaces between words (Han, kana, Thai, Khmer, Lao, Myanmar) are segmented with a
//! dictionary. There, a name may span several words, because the dictionary does not know the names, but it must not be part of a longer word.

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

/// Number of characters among which the end of a word is looked for first. Segmenting takes time for all that it is given.
const MOST_CHARACTERS: usize = 16;

/// Bits that say what may occur at a place of the text.
const START: u8 = 1;
const END: u8 = 2;

/// The boundaries of a text.
///
/// ```
/// use kexue_text::Boundaries;
///
/// let text = "France's neighbours";
/// let boundaries = Boundaries::new(text);
/// assert!(boundaries.allow(0.."France".len()));
/// assert!(!boundaries.allow(0.."Fran".len()));
///
/// let text = "银行的电话";
/// let boundaries = Boundaries::new(text);
/// assert!(boundaries.allow(0.."银行".len()));
/// assert!(!boundaries.allow(0.."银".len()));
/// ```
#[derive(Clone, Debug)]
pub struct Boundaries<'t> {
    text: &'t str,
    /// Whether a name may start or end there, for each byte of the text and for its end.
    places: Vec<u8>,
    /// Where words, spaces and punctuation marks start, ascending.
    starts: Vec<usize>,
    /// Words of several characters in scripts without spaces, ascending.
    dense: Vec<Range<usize>>,
    segmenter: WordSegmenterBorrowed<'static>,
    /// A cache of the ends of words that begin at a place, and of the starts of words that end there.
    first_words: RefCell<HashMap<usize, usize>>,
    last_words: RefCell<HashMap<usize, usize>>,
}

/// The words of a text, as Unicode Standard Annex 29 and a dictionary for scripts without spaces tell them apart. Segments without a letter or a
/// digit are left out.
///
/// ```
/// assert_eq!(kexue_text::words("Who wrote it? 法国的总统"), ["Who", "wrote", "it", "法国", "的", "总统"]);
/// ```
pub fn words(text: &str) -> Vec<&str> {
    let segmenter = WordSegmenter::new_dictionary(WordBreakInvariantOptions::default());
    let ends: Vec<usize> = segmenter.segment_str(text).collect();
    let segments = ends.windows(2).map(|range| &text[range[0]..range[1]]);
    segments.filter(|word| word.contains(char::is_alphanumeric)).collect()
}

impl<'t> Boundaries<'t> {
    /// Finds the boundaries of a text.
    pub fn new(text: &'t str) -> Self {
        let segmenter = WordSegmenter::new_dictionary(WordBreakInvariantOptions::default());
        let mut boundaries = Self {
            text,
            places: vec![0; text.len() + 1],
            starts: Vec::new(),
            dense: Vec::new(),
            segmenter,
            first_words: RefCell::default(),
            last_words: RefCell::default(),
        };
        let mut start = 0;
        for end in segmenter.segment_str(text) {
            if end > start {
                boundaries.add(start..end);
            }
            start = end;
        }
        boundaries
    }

    /// Adds a word, a run of spaces or a punctuation mark.
    fn add(&mut self, word: Range<usize>) {
        self.starts.push(word.start);
        self.places[word.start] |= START;
        self.places[word.end] |= END;
        let text = &self.text[word.clone()];
        let Some(first) = text.chars().next() else { return };
        if is_dense(first) {
            for (at, character) in text.char_indices() {
                self.places[word.start + at] |= START;
                self.places[word.start + at + character.len_utf8()] |= END;
            }
            if text.len() > first.len_utf8() {
                self.dense.push(word);
            }
        } else if is_hangul(first) {
            // A particle follows its noun without a space.
            for (at, _) in text.char_indices().skip(1) {
                if PARTICLES.contains(&&text[at..]) {
                    self.places[word.start + at] |= END;
                }
            }
        } else {
            self.add_inner(word.start, text);
        }
    }

    /// Adds boundaries inside a word of letters: at the apostrophe of a possessive or an elision, and at a full stop that no space follows.
    fn add_inner(&mut self, start: usize, word: &str) {
        for (at, mark) in word.char_indices().skip(1) {
            let (before, after) = (&word[..at], &word[at + mark.len_utf8()..]);
            if is_apostrophe(mark) {
                // Several apostrophes: "d'Ivoire's".
                let before = before.rsplit(is_apostrophe).next().unwrap_or_default();
                if is_one_of(after, &CLITICS) {
                    self.places[start + at] |= END;
                } else if is_one_of(before, &ELISIONS) {
                    self.places[start + at + mark.len_utf8()] |= START;
                }
            } else if mark == '.' {
                let long = before
                    .chars()
                    .rev()
                    .take_while(|character| character.is_alphabetic())
                    .count()
                    > 2;
                if long && after.chars().next().is_some_and(char::is_uppercase) {
                    self.places[start + at] |= END;
                    self.places[start + at + 1] |= START;
                }
            }
        }
    }

    /// Whether a name may start at this byte.
    pub fn allow_start(&self, at: usize) -> bool {
        self.places.get(at).is_some_and(|place| place & START != 0)
    }

    /// Whether a name may end before this byte.
    pub fn allow_end(&self, at: usize) -> bool {
        self.places.get(at).is_some_and(|place| place & END != 0)
    }

    /// Whether these bytes may be a name: they start and end at boundaries, are not part of a longer word, and do not follow a word that makes
    /// them a different name (*Northern* Ireland).
    pub fn allow(&self, range: Range<usize>) -> bool {
        range.start < range.end
            && self.allow_start(range.start)
            && self.allow_end(range.end)
            && !self.is_inside(&range)
            && !self.is_qualified(&range)
    }

    /// Whether a name is part of a longer word, in a script without spaces.
    fn is_inside(&self, range: &Range<usize>) -> bool {
        let next = self.dense.partition_point(|word| word.end < range.end);
        let Some(word) = self.dense.get(next) else { return false };
        if word.start > range.start || word == range {
            return false;
        }
        // Function words that the dictionary joins with their neighbours: 金的, 有氧.
        let mut rest = (self.text[word.start..range.start].chars()).chain(self.text[range.end..word.end].chars());
        if rest.all(|character| GRAMMAR.contains(character)) {
            return false;
        }
        if is_one_of(&self.text[range.end..word.end], &SUFFIXES)
            && word.start == range.start
            && self.text[range.clone()].chars().nth(1).is_some()
        {
            return false;
        }
        // 金元|素 can also be read as 金|元素: the rest of the word belongs to its neighbour.
        let goes_on = || self.first_word(range.end) > word.end;
        let begins_before = || self.last_word(range.start) < word.start;
        !(word.start == range.start && goes_on() || word.end == range.end && begins_before())
    }

    /// The end of the first word of the text after a place.
    fn first_word(&self, at: usize) -> usize {
        *self.first_words.borrow_mut().entry(at).or_insert_with(|| {
            let rest = &self.text[at..];
            let mut length = MOST_CHARACTERS;
            loop {
                let part = match rest.char_indices().nth(length) {
                    Some((end, _)) => &rest[..end],
                    None => rest,
                };
                let mut ends = self.segmenter.segment_str(part).filter(|&end| end > 0);
                let end = ends.next().unwrap_or(0);
                // An apostrophe belongs to the word before it where a letter follows. So a word depends on the character after the next segment.
                let decided = ends.next().is_some_and(|next| next < part.len());
                if decided || part.len() == rest.len() {
                    return at + end;
                }
                length *= 4;
            }
        })
    }

    /// The start of the last word of the text before a place.
    fn last_word(&self, at: usize) -> usize {
        *self.last_words.borrow_mut().entry(at).or_insert_with(|| {
            // The longest word wins, from the start on, so that cutting the text changes nothing before the word that is cut.
            let cut = self.starts.partition_point(|&start| start < at);
            let Some(&start) = cut.checked_sub(1).and_then(|cut| self.starts.get(cut)) else {
                return 0;
            };
            let breaks = self.segmenter.segment_str(&self.text[start..at]);
            start + breaks.filter(|&end| start + end < at).last().unwrap_or(0)
        })
    }

    /// Whether the word before a name makes it the name of something else.
    fn is_qualified(&self, range: &Range<usize>) -> bool {
        let before = &self.text[..range.start];
        let name = &self.text[range.clone()];
        if let Some(last) = before.chars().next_back().filter(|&last| is_dense(last)) {
            let at = range.start - last.len_utf8();
            let alone = !self.dense.iter().any(|word| word.contains(&at));
            return alone && DIRECTIONS.contains(last) && name.chars().nth(1).is_some() && name.chars().all(is_dense);
        }
        let Some(before) = before.strip_suffix([' ', '-']) else {
            return false;
        };
        let start = before.rfind(|character: char| !character.is_alphabetic());
        let word = &before[start.map_or(0, |start| {
            start + before[start..].chars().next().map_or(1, char::len_utf8)
        })..];
        let written_alike = match name.chars().next() {
            Some(first) if first.is_uppercase() => word.starts_with(char::is_uppercase),
            _ => !self.text.contains(char::is_uppercase),
        };
        written_alike && is_one_of(word, &QUALIFIERS)
    }
}

/// Whether the script of a character has no spaces between words.
fn is_dense(character: char) -> bool {
    matches!(character,
        '\u{2e80}'..='\u{2fdf}' // radicals
        | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}'
        | '\u{3040}'..='\u{312f}' // kana, Bopomofo
        | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{ff66}'..='\u{ff9f}' // half-width kana
        | '\u{1b000}'..='\u{1b16f}' | '\u{20000}'..='\u{3ffff}'
        | '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}' // Myanmar
        | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{19df}' // Khmer, Tai Le, New Tai Lue
    )
}

fn is_hangul(character: char) -> bool {
    matches!(character, '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}' | '\u{ac00}'..='\u{d7ff}')
}

/// Whether a character is used as an apostrophe.
pub(crate) fn is_apostrophe(character: char) -> bool {
    matches!(
        character,
        '\'' | '\u{2019}' | '\u{2018}' | '\u{02bc}' | '\u{02bb}' | '\u{ff07}' | '\u{00b4}' | '`'
    )
}

fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.iter().any(|item| word.eq_ignore_ascii_case(item))
}

/// Endings after an apostrophe that are not part of the name.
const CLITICS: [&str; 6] = ["s", "re", "ll", "ve", "d", "m"];
/// Beginnings before an apostrophe that are not part of the name.
const ELISIONS: [&str; 9] = ["d", "l", "qu", "j", "n", "dell", "all", "nell", "sull"];
/// Function words of one character that occur next to a name.
const GRAMMAR: &str = "的是在有用和与及吗呢了一";
/// Endings that do not change what a name of several characters refers to.
const SUFFIXES: [&str; 3] = ["人", "市", "国"];
/// Beginnings that make a different name, in Chinese and Japanese.
const DIRECTIONS: &str = "东南西北東";
/// Words that make a different name: Northern Ireland is not Ireland.
const QUALIFIERS: [&str; 27] = [
    "north",
    "south",
    "east",
    "west",
    "northern",
    "southern",
    "eastern",
    "western",
    "northeast",
    "northwest",
    "southeast",
    "southwest",
    "new",
    "upper",
    "lower",
    "inner",
    "outer",
    "central",
    "greater",
    "lesser",
    "american",
    "british",
    "french",
    "dutch",
    "danish",
    "equatorial",
    "papua",
];
/// Particles that follow a Korean noun.
const PARTICLES: [&str; 26] = [
    "의",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "에",
    "에서",
    "에는",
    "에게",
    "와",
    "과",
    "로",
    "으로",
    "도",
    "만",
    "까지",
    "부터",
    "이나",
    "나",
    "라는",
    "이라는",
    "이란",
    "란",
    "처럼",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether the first occurrence of a name in a text is allowed.
    fn allows(text: &str, name: &str) -> bool {
        let at = text.find(name).unwrap();
        Boundaries::new(text).allow(at..at + name.len())
    }

    #[test]
    fn names_stand_at_the_boundaries_of_words() {
        for (text, name) in [
            ("capital of France", "France"),
            ("France's capital", "France"),
            ("France’s capital", "France"),
            ("the Philippines' capital", "Philippines"),
            ("capital of Guinea-Bissau?", "Guinea-Bissau"),
            ("Côte d’Ivoire's capital", "Côte d’Ivoire"),
            ("la capitale de l'Italie", "Italie"),
            ("the U.S. dollar", "U.S."),
            ("the U.S. dollar", "U.S"),
            ("I like France.Is it big", "France"),
            ("(France)", "France"),
            ("iPhone的价格", "iPhone"),
            ("79号元素", "79"),
            ("프랑스의 수도", "프랑스"),
            ("Is Ireland big", "Ireland"),
            ("the new Iron price", "Iron"),
        ] {
            assert!(allows(text, name), "{name} in {text}");
        }
        for (text, name) in [
            ("What is the population of Jerusalem?", "usa"),
            ("What is the population of Indiana?", "India"),
            ("electronegativity of Terbium", "erbium"),
            ("density of environment", "iron"),
            ("What currency did the Romans use?", "oman"),
            ("who directed the movie Nosuchfilm", "No"),
            ("What is the population of Northern Ireland?", "Ireland"),
            ("the population of northern ireland", "ireland"),
            ("it isn't so", "isn"),
            ("O'Brien", "O"),
            ("O'Brien", "Brien"),
            ("U.S. dollar", "S."),
            ("서울대", "서울"),
            ("Ａmerica", "merica"),
            ("Co\u{302}te", "Co"),
        ] {
            assert!(!allows(text, name), "{name} in {text}");
        }
    }

    #[test]
    fn longer_words_win_in_scripts_without_blanks() {
        for (text, name) in [
            ("金的熔点是多少？", "金"),
            ("金属于哪一族", "金"),
            ("金元素的符号", "金"),
            ("南京市长江大桥", "南京市"),
            ("你知道异鼠李素的分子量吗", "异鼠李素"),
            ("中国人说什么语言", "中国"),
            ("北京市有多少人口", "北京"),
            ("東京の人口は", "東京"),
            ("法国的首都是哪里", "法国"),
            ("山东南京", "南京"),
            ("有氧吗", "氧"),
        ] {
            assert!(allows(text, name), "{name} in {text}");
        }
        for (text, name) in [
            ("金属的熔点是多少？", "金"),
            ("银行的电话区号", "银"),
            ("銀行の電話", "銀"),
            ("铁路有多长", "铁"),
            ("北爱尔兰有多少人口", "爱尔兰"),
            ("南苏丹的首都", "苏丹"),
            ("ประเทศไทยมีเมืองหลวง", "ประเทศ"),
        ] {
            assert!(!allows(text, name), "{name} in {text}");
        }
    }

    proptest! {
        #[test]
        fn between_letters_of_a_word_there_is_none(before in "[a-zA-Z\u{e0}-\u{f6}]{1,8}", after in "[a-zA-Z\u{e0}-\u{f6}]{1,8}", left in "(\\PC* )?", right in "( \\PC*)?") {
            let text = format!("{left}{before}{after}{right}");
            let boundaries = Boundaries::new(&text);
            let (start, middle) = (left.len(), left.len() + before.len());
            prop_assert!(!boundaries.allow_start(middle) && !boundaries.allow_end(middle));
            prop_assert!(boundaries.allow_start(start) && boundaries.allow_end(middle + after.len()));
        }

        #[test]
        fn boundaries_stand_between_characters(text in "\\PC*") {
            let boundaries = Boundaries::new(&text);
            for at in 0..=text.len() {
                prop_assert!(text.is_char_boundary(at) || !boundaries.allow_start(at) && !boundaries.allow_end(at));
                for end in at..=text.len() {
                    boundaries.allow(at..end);
                }
            }
        }
    }

    #[test]
    fn an_apostrophe_where_the_search_ends_does_not_end_a_word() {
        let text = "sc'sc'sababc'sc's";
        assert_eq!(
            text.char_indices().nth(MOST_CHARACTERS - 1).map(|(_, mark)| mark),
            Some('\'')
        );
        assert_eq!(Boundaries::new(text).first_word(0), text.len());
    }

    /// Text in several scripts, of pieces that join to words in many ways.
    fn mixed() -> impl Strategy<Value = String> {
        let pieces = "法国|的|首都|金|元|素|银行|中华人民共和国|北|一|ab|c's| |3.5|a.b|カナダ|の|ประเทศไทย|ภาษา|。|한국은|-|_|\u{301}|🇫🇷|ခင်ဗျား|𠀀";
        let pieces: Vec<&str> = pieces.split('|').collect();
        prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn words_at_a_place_are_those_of_the_text_cut_there(text in mixed()) {
            let boundaries = Boundaries::new(&text);
            for at in text.char_indices().map(|(at, _)| at).chain([text.len()]) {
                let first = boundaries.segmenter.segment_str(&text[at..]).find(|&end| end > 0).unwrap_or(0);
                prop_assert_eq!(boundaries.first_word(at), at + first, "{} {}", text, at);
                let last = boundaries.segmenter.segment_str(&text[..at]).filter(|&start| start < at).last();
                prop_assert_eq!(boundaries.last_word(at), last.unwrap_or(0), "{} {}", text, at);
            }
        }
    }
}
