//! Removes Markdown, HTML and LaTeX markup from cells and names.
//!
//! A subscript after a number, `93.4_{0.2}` or `93.4<sub>0.2</sub>`, becomes a parenthesis, `93.4 (0.2)`, since its meaning is just as unclear.
//! Removing markup never joins two numbers into one.

use std::iter::Peekable;
use std::str::Chars;

/// A cell without its markup.
pub(crate) struct Cleaned {
    pub text: String,
    /// Number of footnote marks that were removed.
    pub footnotes: usize,
}

/// The text of a cell that may be a score.
pub(crate) fn clean(text: &str) -> Cleaned {
    let mut footnotes = 0;
    let text = strip_tags(&strip_links(text), &mut footnotes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(c) = chars.next() {
        let next_is_digit = chars.peek().is_some_and(char::is_ascii_digit);
        match c {
            '−' | '–' | '‒' | '—' => out.push('-'),
            // `2*3` is not a number; elsewhere an asterisk is emphasis or a footnote.
            '*' if before.is_some_and(|c| c.is_ascii_digit()) && next_is_digit => out.push('×'),
            '*' | '`' | '$' | '}' => {}
            '†' | '‡' | '§' | '¶' | '⋆' | '★' | '☆' | '↑' | '↓' => footnotes += 1,
            // `1{,}234` is a number in LaTeX; any other group is separate from the digits before it.
            '{' if chars.clone().take(2).eq([',', '}']) => {}
            '{' | '~' => space(&mut out),
            '_' if chars.peek() == Some(&'{') => subscript(&mut out, &group(&mut chars)),
            '_' if ends_with_digit(&out) && next_is_digit => {
                let digits: String = chars.clone().take_while(char::is_ascii_digit).collect();
                // `1_000` as programs write it; LaTeX sets one digit lower.
                if digits.len() != 3 {
                    chars.next();
                    subscript(&mut out, &digits[..1]);
                }
            }
            '_' => {}
            '^' => {
                // A superscript on a number is a footnote: `93.4^{\dagger}`.
                footnotes += 1;
                if chars.peek() == Some(&'{') {
                    group(&mut chars);
                } else {
                    chars.next();
                }
            }
            '\\' => command(&mut chars, &mut out, &mut footnotes),
            '+' if chars.clone().take(2).eq(['/', '-']) => {
                chars.next();
                chars.next();
                out.push('±');
            }
            other => out.push(other),
        }
        before = Some(c);
    }
    Cleaned {
        text: out.trim().to_owned(),
        footnotes,
    }
}

/// Reads a LaTeX command after its backslash.
fn command(chars: &mut Peekable<Chars<'_>>, out: &mut String, footnotes: &mut usize) {
    let mut name = String::new();
    while let Some(&next) = chars.peek().filter(|next| next.is_ascii_alphabetic()) {
        name.push(next);
        chars.next();
    }
    match name.as_str() {
        "pm" => out.push('±'),
        "times" | "cdot" => out.push('×'),
        "dagger" | "ddagger" | "star" | "ast" => *footnotes += 1,
        "textsuperscript" | "footnote" | "tnote" | "cite" | "citep" | "citet" => {
            *footnotes += 1;
            skip_argument(chars);
        }
        "textsubscript" if chars.peek() == Some(&'{') => subscript(out, &group(chars)),
        "" => match chars.next() {
            Some('%') => out.push('%'),
            Some(',' | ';' | '!' | ':' | ' ' | '\\') | None => out.push(' '),
            Some(other) => out.push(other),
        },
        // `\phantom{0}` and colours take an argument that is not part of the number; `\href` takes the address first.
        "phantom" | "hphantom" | "color" | "textcolor" | "cellcolor" | "rowcolor" | "footnotemark" | "href" => {
            skip_argument(chars);
        }
        _ => {}
    }
}

fn ends_with_digit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

fn space(out: &mut String) {
    if ends_with_digit(out) {
        out.push(' ');
    }
}

fn subscript(out: &mut String, inner: &str) {
    let inner = clean(inner).text;
    if inner.starts_with('±') {
        out.push_str(&inner);
    } else {
        out.push_str(&format!(" ({inner})"));
    }
}

/// Reads `{…}`, which the text begins with, and returns its content.
fn group(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut depth = 0;
    let mut inside = String::new();
    for c in chars {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        inside.push(c);
    }
    // The opening brace is inside.
    inside.chars().skip(1).collect()
}

fn skip_argument(chars: &mut Peekable<Chars<'_>>) {
    if chars.peek() == Some(&'[') {
        for inner in chars.by_ref() {
            if inner == ']' {
                break;
            }
        }
    }
    if chars.peek() == Some(&'{') {
        group(chars);
    }
}

/// Removes `<b>`, `</b>`, comments, and a `<sup>…</sup>` with its content.
fn strip_tags(text: &str, footnotes: &mut usize) -> String {
    if !text.contains('<') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        let tail = &rest[start..];
        // A tag starts with a letter, a slash or a mark; `<0.1` does not.
        let is_tag = tail[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        let Some(end) = tail.find('>').filter(|_| is_tag) else {
            out.push('<');
            rest = &tail[1..];
            continue;
        };
        let name = tail[1..end].to_ascii_lowercase();
        rest = &tail[end + 1..];
        if name.starts_with("sup") {
            *footnotes += 1;
            rest = rest.find("</sup>").map_or("", |close| &rest[close + "</sup>".len()..]);
        } else if name.starts_with("sub") {
            let inner = rest.find("</sub>").map_or(rest, |close| &rest[..close]);
            rest = &rest[inner.len()..];
            out.push_str(&format!("_{{{inner}}}"));
        } else if name.starts_with("br") || ends_with_digit(&out) && rest.starts_with(|c: char| c.is_ascii_digit()) {
            out.push(' ');
        }
    }
    out.push_str(rest);
    out
}

/// `[words](address)` of Markdown as its words; an image, `![words](address)`, as nothing.
fn strip_links(text: &str) -> String {
    if !text.contains("](") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((middle, open, close)) = link(rest) {
        let image = rest[..open].ends_with('!');
        out.push_str(rest[..open].strip_suffix('!').unwrap_or(&rest[..open]));
        if !image {
            // The words may hold an image or another link.
            out.push_str(&strip_links(&rest[open + 1..middle]));
        }
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    out
}

/// The end and the start of the first link's words, and the end of its address.
fn link(text: &str) -> Option<(usize, usize, usize)> {
    let mut from = 0;
    loop {
        let open = from + text[from..].find('[')?;
        let middle = closing(text, open, b'[', b']');
        let close = middle
            .filter(|middle| text[middle + 1..].starts_with('('))
            .and_then(|middle| closing(text, middle + 1, b'(', b')'));
        match (middle, close) {
            (Some(middle), Some(close)) => return Some((middle, open, close)),
            _ => from = open + 1,
        }
    }
}

/// The end of the bracket that opens at `open`.
fn closing(text: &str, open: usize, opening: u8, closing: u8) -> Option<usize> {
    let mut depth = 0usize;
    for (index, byte) in text.bytes().enumerate().skip(open) {
        if byte == opening {
            depth += 1;
        } else if byte == closing {
            depth -= 1;
            if depth == 0 {
                return Some(index);
            }
        }
    }
    None
}

/// The text of a name without emphasis, links, tags, comments and repeated white space. Control characters are replaced, since they could
/// control a terminal.
pub(crate) fn clean_name(text: &str) -> String {
    let mut footnotes = 0;
    let text = strip_tags(&strip_links(text), &mut footnotes);
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(visible));
    }
    for pair in ["**", "__", "`", "*"] {
        while let Some(inner) = out
            .strip_prefix(pair)
            .and_then(|rest| rest.strip_suffix(pair))
            .filter(|inner| !inner.is_empty())
        {
            out = inner.trim().to_owned();
        }
    }
    out
}

/// Replaces a character that could control a terminal.
pub(crate) fn visible(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_their_words() {
        for (text, expected) in [
            ("[A](https://ex.org/a)", "A"),
            ("**[A (b)](https://ex.org/a_(b))** ‡", "**A (b)** ‡"),
            ("[![badge](b.svg)](https://ex.org) A", "A"),
            ("[A] (b)", "[A] (b)"),
            ("[[A]](u)[B](v)", "[A]B"),
            ("[A](unclosed", "[A](unclosed"),
        ] {
            assert_eq!(clean_name(text), expected);
        }
        assert_eq!(clean("[93.4](u)").text, "93.4");
    }

    #[test]
    fn markup_joins_no_numbers() {
        for (text, expected) in [
            ("93.4_{2}", "93.4 (2)"),
            ("$93.4_{\\pm 0.2}$", "93.4± 0.2"),
            ("93.4<sub>2</sub>", "93.4 (2)"),
            ("93.4<small>2</small>", "93.4 2"),
            ("90<br>80", "90 80"),
            ("93.4\\std{2}", "93.4 2"),
            ("93~2", "93 2"),
            ("93.4_2", "93.4 (2)"),
            ("1.2*10", "1.2×10"),
            ("1.2 \\times 10", "1.2 × 10"),
            ("1{,}234", "1,234"),
            ("1_000", "1000"),
            ("$\\mathbf{93.4}$", "93.4"),
            ("**93.4**", "93.4"),
            ("93.4\\textsuperscript{2}", "93.4"),
            ("\\href{https://ex.org/1}{93.4}", "93.4"),
        ] {
            assert_eq!(clean(text).text, expected, "{text}");
        }
    }
}
