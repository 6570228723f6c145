//! Tabular environments of LaTeX.

use super::raw::{RawColumn, RawTable, is_blank};
use crate::cell::{Cell, Parentheses, parse};
use crate::error::{Error, Place, Result, counted};
use crate::markup::clean_name;
use crate::number::DecimalMark;

const ENVIRONMENTS: [&str; 8] = [
    "tabular",
    "tabular*",
    "tabularx",
    "tabulary",
    "longtable",
    "tblr",
    "array",
    "NiceTabular",
];

/// Commands between rows, or before the first cell of a row.
const PLAIN_RULES: [&str; 8] = [
    "\\hline",
    "\\toprule",
    "\\midrule",
    "\\bottomrule",
    "\\endhead",
    "\\endfirsthead",
    "\\addlinespace",
    "\\centering",
];
const RULES_WITH_ARGUMENTS: [&str; 5] = ["\\cline", "\\cmidrule", "\\rowcolor", "\\specialrule", "\\noalign"];

/// Reads the `index`th environment, counted from 1; without `index`, the only one.
/// Several header rows become names with group headings.
pub(crate) fn read(file: &str, text: &str, index: Option<usize>) -> Result<RawTable> {
    let text = without_comments(text);
    let mut bodies: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("\\begin{") {
        let start = at + found;
        let after = start + "\\begin{".len();
        at = after;
        let Some(close) = text[after..].find('}') else { break };
        let name = &text[after..after + close];
        if !ENVIRONMENTS.contains(&name) {
            continue;
        }
        let body = after + close + 1;
        let ending = format!("\\end{{{name}}}");
        let Some(length) = text[body..].find(&ending) else {
            return Err(Error::malformed(
                Place::line(file, line_of(&text, start)),
                format!("an environment `{name}` without its end"),
                format!("close it with {ending}"),
            ));
        };
        bodies.push((body, &text[body..body + length]));
        at = body + length;
    }
    let (offset, body) = super::names::choose(file, &bodies, index, |(start, _)| {
        format!("line {}", line_of(&text, *start))
    })?;
    // A label between the rows, such as `\multicolumn{5}{c}{Single models}`, spans from the first column on.
    let is_label = |row: &Row| row.spans && row.cells.iter().all(|cell| *cell == row.cells[0]);
    let (labels, mut rows): (Vec<Row>, Vec<Row>) = rows(&text, offset, skip_arguments(body))
        .into_iter()
        .partition(is_label);
    fill_down(&mut rows);
    let mut labels: Vec<String> = labels.iter().map(|row| clean_name(&row.cells[0])).collect();
    if rows.is_empty() {
        return Err(Error::malformed(
            Place::line(file, line_of(&text, offset)),
            "a table without rows",
            "separate cells with & and rows with \\\\",
        ));
    }

    // The header ends at the first row with a number, or an attempt at one, after its first cell.
    let is_score = |cell: &String| {
        cell.contains(|c: char| c.is_ascii_digit()) && !cell.contains(char::is_alphabetic)
            || matches!(
                parse(cell, Some(DecimalMark::Point), false, Parentheses::Drop),
                Cell::Metrics(_)
            )
    };
    let header = rows
        .iter()
        .position(|row| row.cells.iter().skip(1).any(is_score))
        .unwrap_or(1)
        .max(1);
    let width = rows[..header].iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let cell = |row: usize, column: usize| rows[row].cells.get(column).map_or("", String::as_str);
    let mut columns: Vec<RawColumn> = Vec::with_capacity(width);
    for column in 0..width {
        let mut names = (0..header)
            .rev()
            .map(|row| clean_name(cell(row, column)))
            .filter(|name| !name.is_empty());
        let name = names.next().unwrap_or_default();
        let group = names.next().filter(|group| *group != name);
        columns.push(RawColumn {
            name,
            group,
            ..RawColumn::default()
        });
    }
    let mut table = RawTable::new(file, rows[header - 1].line, columns);
    for row in &rows[header..] {
        let filled = row.cells.iter().filter(|cell| !cell.trim().is_empty()).count();
        if filled <= 1 && row.cells.len() < width {
            labels.extend(
                row.cells
                    .iter()
                    .find(|cell| !cell.trim().is_empty())
                    .map(|cell| clean_name(cell)),
            );
            continue;
        }
        if row.cells.len() != width {
            return Err(Error::malformed(
                Place::line(file, row.line),
                format!("{} where the header has {width}", counted(row.cells.len(), "cell")),
                "write a missing cell as - and check the & of the row",
            ));
        }
        table.push_row(row.line, row.cells.iter().map(String::as_str));
    }
    table.sections = labels;
    Ok(table)
}

struct Row {
    line: u64,
    cells: Vec<String>,
    /// How many rows each cell spans.
    heights: Vec<usize>,
    /// Whether one cell spans several columns.
    spans: bool,
}

fn rows(text: &str, offset: usize, body: &str) -> Vec<Row> {
    // `body` is a suffix of the environment that starts at `offset`; positions count from the file's start.
    let base = (body.as_ptr() as usize)
        .saturating_sub(text.as_ptr() as usize)
        .max(offset);
    let mut rows = Vec::new();
    let bytes = body.as_bytes();
    let mut start = 0;
    let mut depth = 0usize;
    let mut at = 0;
    let mut push = |from: usize, to: usize| {
        let source = &body[from..to];
        let leading = source.len() - skip_rules(source).len();
        let row = Row {
            line: line_of(text, base + from + leading),
            ..row(source)
        };
        if !is_blank(row.cells.iter().map(String::as_str)) {
            rows.push(row);
        }
    };
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'\\' if bytes.get(at + 1) == Some(&b'\\') && depth == 0 => {
                push(start, at);
                at += 2;
                // `\\[2pt]` and `\\*`
                if bytes.get(at) == Some(&b'*') {
                    at += 1;
                }
                if bytes.get(at) == Some(&b'[') {
                    at = body[at..].find(']').map_or(bytes.len(), |close| at + close + 1);
                }
                start = at;
                continue;
            }
            b'\\' => at += 1,
            _ => {}
        }
        at += 1;
    }
    if start < body.len() {
        push(start, body.len());
    }
    rows
}

/// Writes a cell that spans several rows into the empty cells below it.
fn fill_down(rows: &mut [Row]) {
    for top in 0..rows.len() {
        for column in 0..rows[top].cells.len() {
            let text = rows[top].cells[column].clone();
            let height = rows[top].heights[column];
            for below in rows[top + 1..].iter_mut().take(height.saturating_sub(1)) {
                match below.cells.get_mut(column) {
                    Some(cell) if cell.trim().is_empty() => cell.clone_from(&text),
                    _ => break,
                }
            }
        }
    }
}

/// Splits a row at `&`, unfolds `\multicolumn` and `\multirow`, and drops rules.
fn row(source: &str) -> Row {
    let mut cells = Vec::new();
    let mut heights = Vec::new();
    let mut spans = false;
    let mut depth = 0usize;
    let mut cell = String::new();
    let mut chars = source.chars();
    let mut finish = |cell: &mut String| {
        let (text, span, height) = unfold(cell.trim());
        spans |= span > 1;
        // A heading stands above each of its columns.
        let span = span.min(1000);
        cells.extend(std::iter::repeat_n(text, span));
        heights.extend(std::iter::repeat_n(height, span));
        cell.clear();
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                cell.push('\\');
                cell.extend(chars.next());
            }
            '{' => {
                depth += 1;
                cell.push(c);
            }
            '}' => {
                depth = depth.saturating_sub(1);
                cell.push(c);
            }
            '&' if depth == 0 => finish(&mut cell),
            other => cell.push(other),
        }
    }
    finish(&mut cell);
    Row {
        line: 0,
        cells,
        heights,
        spans,
    }
}

/// The text of a cell, and how many columns and rows it spans.
fn unfold(cell: &str) -> (String, usize, usize) {
    let mut text = cell.to_owned();
    let (mut span, mut height) = (1, 1);
    // Rules and row colours stand before the first cell of a row.
    for rule in PLAIN_RULES {
        text = text.replace(rule, " ");
    }
    for rule in RULES_WITH_ARGUMENTS {
        while let Some(start) = text.find(rule) {
            let rest = skip_arguments(&text[start + rule.len()..]);
            text = format!("{} {}", &text[..start], rest);
        }
    }
    if let Some(start) = text.find("\\multicolumn") {
        let (arguments, rest) = arguments(&text[start + "\\multicolumn".len()..], 3);
        if let [count, _, content] = arguments.as_slice() {
            span = count.trim().parse().unwrap_or(1).max(1);
            text = format!("{}{content}{rest}", &text[..start]);
        }
    }
    if let Some(start) = text.find("\\multirow") {
        let (arguments, rest) = arguments(&text[start + "\\multirow".len()..], 3);
        if let [count, _, content] = arguments.as_slice() {
            height = count.trim().parse().unwrap_or(1);
            text = format!("{}{content}{rest}", &text[..start]);
        }
    }
    (plain(text.trim()), span, height)
}

/// Takes `{…}` arguments from the front, skipping `[…]`.
fn arguments(text: &str, count: usize) -> (Vec<String>, &str) {
    let mut rest = text;
    let mut found = Vec::new();
    while found.len() < count {
        rest = rest.trim_start();
        if rest.starts_with('[') {
            let Some(close) = rest.find(']') else { break };
            rest = &rest[close + 1..];
            continue;
        }
        if !rest.starts_with('{') {
            break;
        }
        let Some(end) = closing(rest) else { break };
        found.push(rest[1..end].to_owned());
        rest = &rest[end + 1..];
    }
    (found, rest)
}

/// Skips `(…)`, `[…]` and `{…}` at the front: the options and column format of an environment or a rule.
fn skip_arguments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let end = match rest.as_bytes().first() {
            Some(b'{') => closing(rest),
            Some(b'[') => rest.find(']'),
            Some(b'(') => rest.find(')'),
            _ => None,
        };
        match end {
            Some(end) => rest = rest[end + 1..].trim_start(),
            None => return rest,
        }
    }
}

/// Skips white space and rules at the front.
fn skip_rules(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let plain = PLAIN_RULES.iter().find_map(|rule| rest.strip_prefix(rule));
        let after = plain.or_else(|| {
            let arguments = RULES_WITH_ARGUMENTS.iter().find_map(|rule| rest.strip_prefix(rule));
            arguments.map(skip_arguments)
        });
        match after {
            Some(after) => rest = after.trim_start(),
            None => return rest,
        }
    }
}

/// The index of the brace that closes the one at the front.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// Removes commands from a cell that is a name. A cell that is a number is left to the grammar of numbers.
fn plain(cell: &str) -> String {
    if !cell.contains('\\') || cell.contains("\\pm") || cell.contains('^') {
        return cell.to_owned();
    }
    let mut out = String::new();
    let mut rest = cell;
    while let Some(start) = rest.find('\\') {
        out.push_str(&rest[..start]);
        let tail = &rest[start + 1..];
        let length = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        match &tail[..length] {
            "" => {
                let mut chars = tail.chars();
                match chars.next() {
                    Some(',' | ';' | ':' | '!' | ' ') | None => out.push(' '),
                    Some(escaped) => out.push(escaped),
                }
                rest = chars.as_str();
                continue;
            }
            "uparrow" | "Uparrow" | "upArrow" | "blacktriangle" | "triangle" => out.push('↑'),
            "downarrow" | "Downarrow" | "downArrow" | "blacktriangledown" | "triangledown" => out.push('↓'),
            "href" => {
                rest = arguments(&tail[length..], 1).1;
                continue;
            }
            "cite" | "citep" | "citet" | "citealp" | "footnote" | "textcolor" | "color" | "cellcolor" | "phantom" => {
                rest = arguments(&tail[length..], 1).1;
                continue;
            }
            _ => {}
        }
        rest = &tail[length..];
    }
    out.push_str(rest);
    out.chars()
        .filter(|c| !matches!(c, '{' | '}' | '$'))
        .map(|c| if c == '~' { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Blanks out `% comments`, so that line numbers and positions do not change.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut escaped = false;
        let mut end = line.len();
        for (index, byte) in line.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'%' => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        out.push_str(&line[..end]);
        if end < line.len() && line.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

fn line_of(text: &str, position: usize) -> u64 {
    let end = position.min(text.len());
    text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() as u64 + 1
}
