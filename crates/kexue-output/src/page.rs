//! The HTML page of every report: one file that loads nothing, readable on light and dark screens, narrow ones, and paper.

use crate::{OutputError, write_file};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;
use std::path::Path;

/// Colours for series on light paper, which people with colour blindness can tell apart, the first seven best (after Okabe & Ito).
const LIGHT: [&str; 10] = [
    "#0072b2", "#d55e00", "#009e73", "#c4659b", "#b98000", "#3d9bd6", "#6b6b6b", "#7a5bb5", "#8a6a4f", "#5f7f1f",
];
/// The same hues on dark paper.
const DARK: [&str; 10] = [
    "#4fa3e0", "#ff8a3d", "#2fc79a", "#e79cc6", "#f0b429", "#9ad4f5", "#b0b6be", "#b79cf0", "#c9a183", "#a5c853",
];

const STYLE: &str = "
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:1240px;padding:0 1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .4rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2rem 0 .3rem}
p{margin:.2rem 0 .8rem;color:var(--soft);max-width:46rem;overflow-wrap:anywhere}
p.verdict{color:var(--ink);font-size:1.1rem;border-left:.25rem solid var(--series-0);padding:.3rem 0 .3rem .9rem;margin:.6rem 0 1rem}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.9rem;margin:.4rem 0 1rem}nav a,summary{color:var(--series-0)}
details{border-top:1px solid var(--line)}summary{cursor:pointer;padding:.6rem 0}summary h2{display:inline;margin:0;font-size:1.05rem}
pre{background:var(--tint);padding:1rem;overflow:auto;max-width:100%;font-size:.85rem}
.wide{overflow-x:auto;max-width:100%}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.95rem}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}th:first-child,td:first-child{text-align:left}
th{color:var(--soft);font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,360px),1fr));gap:1.2rem;margin:.6rem 0}
figure{margin:0;max-width:100%}.charts figure{max-width:560px}.charts svg{width:100%}figure svg{max-width:100%;height:auto}
figcaption,.legend{color:var(--soft);font-size:.9rem;max-width:35rem}.legend span{margin-right:1rem;display:inline-block}
.legend i{display:inline-block;width:1.2em;height:.2em;margin-right:.4em;vertical-align:middle}
svg{display:block}text{fill:var(--ink);font:12px system-ui,sans-serif}
@media(max-width:720px){body{margin:1rem auto}}
@media print{body{margin:0;max-width:none;padding:0;print-color-adjust:exact;-webkit-print-color-adjust:exact}nav{display:none}
details::details-content{content-visibility:visible;display:block}
h2{break-after:avoid}figure,svg,tr{break-inside:avoid}.wide,pre{overflow:visible}pre{white-space:pre-wrap}}
";

/// The colour of a series, numbered from 0, as a CSS value that differs in dark mode. Beyond ten series the hues repeat in paler shades.
///
/// Use it only in a [`Page`], which defines the colours.
pub fn series_colour(index: usize) -> String {
    let (hue, round) = (index % LIGHT.len(), index / LIGHT.len());
    match round {
        0 => format!("var(--series-{hue})"),
        _ => {
            let share = (100.0 * 0.6f64.powi(round as i32)).round().max(10.0);
            format!("color-mix(in srgb,var(--series-{hue}) {share}%,var(--soft))")
        }
    }
}

/// Escapes a text for HTML and SVG, including attribute values. Control characters become spaces.
pub fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// Builds a page: a title, the verdict, the important sections, and folded sections for the rest. Several sections get a table of contents.
///
/// ```
/// use kexue_output::Page;
///
/// let mut page = Page::new("Accuracy by length");
/// page.verdict("The model loses 3 points from 128 to 512 tokens.");
/// page.paragraph("Held-out documents, three seeds.");
/// page.table(&["length", "accuracy, %"], &[vec!["512".to_owned(), "57.1 ± 0.4".to_owned()]]);
/// assert!(page.to_html().contains("<td>57.1 ± 0.4</td>"));
/// ```
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    style: String,
    sections: Vec<Section>,
}

/// A section. The first has no heading.
#[derive(Clone, Debug, Default)]
struct Section {
    title: String,
    is_folded: bool,
    body: String,
}

impl Page {
    /// Creates a page that has only a title.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            style: String::new(),
            sections: vec![Section::default()],
        }
    }

    /// Adds CSS rules. They may use the colours `var(--ink)`, `--soft`, `--line`, `--paper`, `--tint`, `--other` and those of
    /// [`series_colour`].
    pub fn style(&mut self, rules: &str) {
        self.style.push_str(rules);
    }

    /// The title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Adds the result, in a sentence or two.
    pub fn verdict(&mut self, text: &str) {
        let _ = writeln!(self.body(), "<p class=\"verdict\">{}</p>", escape_html(text));
    }

    /// Begins a section.
    pub fn heading(&mut self, text: &str) {
        self.section(text, false);
    }

    /// Begins a section that is folded until its heading is clicked, for details.
    pub fn fold(&mut self, text: &str) {
        self.section(text, true);
    }

    fn section(&mut self, title: &str, is_folded: bool) {
        self.sections.push(Section {
            title: title.to_owned(),
            is_folded,
            body: String::new(),
        });
    }

    /// The HTML of the current section.
    fn body(&mut self) -> &mut String {
        // There is always a section: the first has no heading.
        let last = self.sections.len() - 1;
        &mut self.sections[last].body
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.body(), "<p>{}</p>", escape_html(text));
    }

    /// Adds text of fixed width, with its line breaks.
    pub fn preformatted(&mut self, text: &str) {
        let _ = writeln!(self.body(), "<pre>{}</pre>", escape_html(text));
    }

    /// Adds a table. The first column is aligned to the left, the others to the right.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| -> String {
            cells
                .map(|cell| format!("<{tag}>{}</{tag}>", escape_html(cell)))
                .collect()
        };
        let head = cells("th", &mut head.iter().copied());
        let rows: String = rows
            .iter()
            .map(|row| format!("<tr>{}</tr>\n", cells("td", &mut row.iter().map(String::as_str))))
            .collect();
        let _ = writeln!(
            self.body(),
            "<div class=\"wide\"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>"
        );
    }

    /// Adds a picture, given as a PNG file, with a caption. It is shown `scale` times as large, with sharp pixels.
    pub fn picture(&mut self, png: &[u8], scale: usize, caption: &str) {
        let data = STANDARD.encode(png);
        // The width is in the header of every PNG file.
        let width = png
            .get(16..20)
            .map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize);
        let (width, caption) = (width * scale, escape_html(caption));
        let _ = writeln!(
            self.body(),
            "<figure><img width=\"{width}\" style=\"image-rendering:pixelated;max-width:100%\" src=\"data:image/png;base64,{data}\" alt=\"{caption}\">\
             <figcaption>{caption}</figcaption></figure>"
        );
    }

    /// Adds HTML or SVG as it is. The caller escapes every text in it with [`escape_html`].
    pub fn html(&mut self, html: &str) {
        self.body().push_str(html);
        self.body().push('\n');
    }

    /// The sections, after the table of contents that leads to them.
    fn to_body(&self) -> String {
        let mut contents = String::new();
        let mut sections = String::new();
        // Folded sections come last.
        let mut ordered: Vec<&Section> = self.sections.iter().collect();
        ordered.sort_by_key(|section| section.is_folded);
        for (number, section) in ordered.into_iter().enumerate() {
            let (title, body) = (escape_html(&section.title), &section.body);
            let _ = match (number, section.is_folded) {
                (0, _) => Ok(()),
                (_, false) => writeln!(sections, "<h2 id=\"s{number}\">{title}</h2>\n{body}"),
                // A link to an element inside opens the section.
                (_, true) => writeln!(
                    sections,
                    "<details><summary><h2>{title}</h2></summary>\n<div id=\"s{number}\">\n{body}</div></details>"
                ),
            };
            if number > 0 {
                let _ = write!(contents, "<a href=\"#s{number}\">{title}</a>");
            }
        }
        let first = &self.sections[0].body;
        match self.sections.len() {
            1 | 2 => format!("{first}{sections}"),
            _ => format!("{first}<nav>{contents}</nav>\n{sections}"),
        }
    }

    /// The title of the page in a file, if the file is such a page.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn title_in(path: &Path) -> std::io::Result<Option<String>> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let title = text
            .split_once("<title>")
            .and_then(|(_, rest)| rest.split_once("</title>"));
        let plain = |title: &str| {
            [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&#39;", "'"),
                ("&amp;", "&"),
            ]
            .iter()
            .fold(title.to_owned(), |title, (written, plain)| {
                title.replace(written, plain)
            })
        };
        Ok(title
            .filter(|_| text.starts_with("<!doctype html>"))
            .map(|(title, _)| plain(title)))
    }

    /// The whole page.
    pub fn to_html(&self) -> String {
        let (title, body, style) = (escape_html(&self.title), self.to_body(), &self.style);
        let colours = |colours: [&str; 10]| -> String {
            let numbered = colours.iter().enumerate();
            numbered
                .map(|(index, colour)| format!(";--series-{index}:{colour}"))
                .collect()
        };
        let light = format!(
            "--ink:#1c2430;--soft:#66707f;--line:#d8dde4;--paper:#fff;--tint:#f3f5f8;--other:#aab3bf{}",
            colours(LIGHT)
        );
        let dark = format!(
            "--ink:#e6e9ee;--soft:#9aa4b2;--line:#39424f;--paper:#14181e;--tint:#1e242c;--other:#5b6675{}",
            colours(DARK)
        );
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>\n:root{{color-scheme:light dark;{light}}}\n\
             @media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n\
             @media print{{:root{{color-scheme:light;{light}}}}}{STYLE}{style}</style></head>\n\
             <body>\n<h1>{title}</h1>\n{body}</body></html>\n"
        )
    }

    /// Writes the page atomically.
    ///
    /// # Errors
    /// If the file cannot be written, as in [`write_file`].
    pub fn write(&self, path: &Path) -> Result<(), OutputError> {
        write_file(path, self.to_html().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_escapes_what_it_is_given() {
        let mut page = Page::new("a < b");
        page.heading("</h2>");
        page.paragraph("x & y");
        page.table(&["<th>"], &[vec!["<td>\u{1b}[31m".to_owned()]]);
        page.preformatted("<pre>\n\tx");
        let html = page.to_html();
        assert!(html.contains("a &lt; b") && html.contains("x &amp; y") && html.contains("&lt;/h2&gt;"));
        assert!(html.contains("<td>&lt;td&gt; [31m</td>") && html.contains("&lt;pre&gt;\n\tx"));
        assert_eq!((html.matches("<pre>").count(), html.matches("<th>").count()), (1, 1));
        assert_eq!(escape_html("'\""), "&#39;&quot;");
    }

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let mut page = Page::new("t");
        page.style(".x{color:var(--soft)}");
        page.html("<svg></svg>");
        page.picture(b"\x89PNG", 1, "two \"samples\"");
        let html = page.to_html();
        assert!(html.contains("src=\"data:image/png;base64,iVBORw==\" alt=\"two &quot;samples&quot;\""));
        let html = html.replace("src=\"data:", "").replace("href=\"#", "");
        for tag in ["html", "head", "body", "style", "title", "h1"] {
            assert_eq!(html.matches(&format!("<{tag}")).count(), 1, "{tag}");
            assert_eq!(html.matches(&format!("</{tag}>")).count(), 1, "{tag}");
        }
        assert_eq!(html.matches('{').count(), html.matches('}').count());
        assert!(
            !html.contains("src=") && !html.contains("href=") && !html.contains("url(") && !html.contains("@import")
        );
        // Paper is light, whatever the screen is: the rule for print comes after that for dark screens.
        assert!(html.find("@media print").unwrap() > html.find("prefers-color-scheme:dark").unwrap());
    }

    #[test]
    fn sections_are_folded_and_listed() {
        let mut page = Page::new("a & <b>");
        page.verdict("It works.");
        page.heading("First");
        page.paragraph("one");
        let html = page.to_html();
        assert!(
            !html.contains("<nav>") && html.contains("<p class=\"verdict\">It works.</p>"),
            "{html}"
        );
        page.fold("Details");
        page.table(&["x"], &[vec!["1".to_owned()]]);
        let html = page.to_html();
        assert!(
            html.contains("<a href=\"#s1\">First</a><a href=\"#s2\">Details</a>"),
            "{html}"
        );
        let details = &html[html.find("<details>").unwrap()..html.find("</details>").unwrap()];
        assert!(
            details.contains("<h2>Details</h2>") && details.contains("id=\"s2\"") && details.contains("<td>1</td>")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        assert_eq!(Page::title_in(&path).unwrap(), None);
        page.write(&path).unwrap();
        assert_eq!(Page::title_in(&path).unwrap().as_deref(), Some("a & <b>"));
        std::fs::write(&path, "<title>mine</title>").unwrap();
        assert_eq!(Page::title_in(&path).unwrap(), None);
    }

    #[test]
    fn every_colour_that_is_used_is_defined_on_every_paper() {
        let html = Page::new("t").to_html();
        let used: std::collections::BTreeSet<&str> = html
            .split("var(")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .collect();
        assert!(used.len() >= 5);
        for name in used {
            assert_eq!(html.matches(&format!("{name}:")).count(), 3, "{name}");
        }
        for index in 0..LIGHT.len() {
            assert_eq!(html.matches(&format!("--series-{index}:")).count(), 3);
        }
        let all: std::collections::BTreeSet<String> = (0..40).map(series_colour).collect();
        assert_eq!(all.len(), 40);
    }

    /// WCAG 2.1 asks for a contrast of 3 between graphics and their background, and of 4.5 for text.
    #[test]
    fn colours_stand_out_from_their_paper() {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.040_45 {
                    value / 12.92
                } else {
                    ((value + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let contrast = |a: &str, b: &str| {
            let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
            (a / b).max(b / a)
        };
        for (colours, paper, texts) in [
            (LIGHT, "#ffffff", ["#1c2430", "#66707f"]),
            (DARK, "#14181e", ["#e6e9ee", "#9aa4b2"]),
        ] {
            for colour in colours {
                assert!(
                    contrast(colour, paper) >= 3.0,
                    "{colour} on {paper}: {}",
                    contrast(colour, paper)
                );
            }
            for text in texts {
                assert!(contrast(text, paper) >= 4.5, "{text} on {paper}");
            }
        }
    }
}
