//! `kexue rank`: averages of leaderboards over equal columns, and a check of printed averages.

use crate::output::{self, Usage, check_page};
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use kexue_output::{check_output, write_file};
use kexue_rank::advice::Setting;
use kexue_rank::check::{self, check};
use kexue_rank::flips::flips;
use kexue_rank::join::Prefer;
use kexue_rank::present::{self, FlipResults};
use kexue_rank::ranking::{rank_by, rank_by_three};
use kexue_rank::read::{self, DecimalMark, Format, MetricRows, Parentheses};
use kexue_rank::report::Report;
use kexue_rank::resample::{self, Bootstrap, BootstrapOptions};
use kexue_rank::scores::{Averaging, Columns, Flip, Metrics, Unranked};
use kexue_rank::vote::{self, Rule};
use kexue_rank::{Mean, Scores, Selection, Table, picture};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Leaderboards: means over equal columns, rank flips, votes, and a check of printed averages.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kexue rank show results.csv --columns common       only the columns that every system has
  kexue rank flips results.tex --html page.html      what a different mean, or different tasks, would change
  kexue rank vote results.md --rule borda,copeland
  kexue rank check paper.tex --report review.md      how were the printed averages made?

Exit codes: 0 done; 1 the averages are not comparable (check); 2 wrong usage; 3 bad input.")]
pub struct RankArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Average and rank by several means, over the same columns for every system.
    Show(Show),
    /// Show which systems change places when the mean or the tasks change, and which never do.
    Flips(Flips),
    /// Let the tasks vote: plurality, Borda, Dowdall, Copeland, minimax, Condorcet, threshold, Baldwin.
    Vote(Vote),
    /// Find the mean, the columns and the weights behind the averages printed in a table; exit code 1 if they differ between systems.
    Check(Check),
}

/// How to read the files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
struct Reading {
    /// Tables: CSV, TSV, Markdown, LaTeX, JSON (Papers with Code, HELM, lm-evaluation-harness, records), metrics.jsonl.
    /// Several files are joined by system and task. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The format of the files [default: determined from each file's name and content].
    #[arg(long, value_enum)]
    input_format: Option<FormatName>,
    /// Which table of a file with several, counted from 1.
    #[arg(long, value_name = "N")]
    table: Option<usize>,
    /// The separator of CSV, such as `;` or `tab`.
    #[arg(long, value_parser = delimiter)]
    delimiter: Option<u8>,
    /// The columns that name the systems.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    system: Vec<String>,
    /// The columns to rank by, or `common` for the columns that every system has.
    #[arg(long, value_delimiter = ',', value_name = "common|NAME")]
    columns: Vec<String>,
    /// Columns to leave out.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    without: Vec<String>,
    /// Columns that are averages.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    claims: Vec<String>,
    /// Columns in which lower scores are better.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    lower: Vec<String>,
    /// Columns in which higher scores are better, although their names suggest otherwise.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    higher: Vec<String>,
    /// The decimal mark of ambiguous numbers such as 1,234.
    #[arg(long, value_enum)]
    decimal: Option<DecimalName>,
    /// How to treat a number in parentheses after a score.
    #[arg(long, value_enum, default_value_t)]
    parentheses: ParenthesesName,
    /// For JSON with several metrics for a task: its score is the first of these that it has.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    metric: Vec<String>,
    /// For metrics.jsonl: every step is a system, or the run is one, scored at its last step [default: steps for one file].
    #[arg(long, value_enum)]
    runs: Option<RunsName>,
    /// Which file to trust if two differ about a cell.
    #[arg(long, value_enum)]
    prefer: Option<PreferName>,
    /// Only these systems.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    systems: Vec<String>,
    /// Only the first N rows.
    #[arg(long, value_name = "N")]
    head: Option<usize>,
    /// Whether to keep rows without a rank in a table with ranks.
    #[arg(long, value_enum, default_value_t)]
    unranked: UnrankedName,
}

/// What to average.
#[derive(Debug, Args)]
#[command(next_help_heading = "Averaging")]
struct Averages {
    /// Leave out the systems that lack a score.
    #[arg(long)]
    drop_rows: bool,
    /// How to use cells such as 93.9/91.8.
    #[arg(long, value_enum, default_value_t)]
    metrics: MetricsName,
    /// Average columns into one task first: `MNLI=MNLI-m,MNLI-mm`.
    #[arg(long, value_parser = named_list, value_name = "NAME=COLUMN,…")]
    merge: Vec<(String, Vec<String>)>,
    /// A group of columns, for --average macro and --weight.
    #[arg(long, value_parser = named_list, value_name = "NAME=COLUMN,…")]
    group: Vec<(String, Vec<String>)>,
    /// The weight of a column or a group; with --average macro, the columns of a group share its weight [default: 1].
    #[arg(long, value_parser = named_number, value_name = "NAME=WEIGHT")]
    weight: Vec<(String, f64)>,
    /// Whether columns or groups have equal weights.
    #[arg(long, value_enum, default_value_t)]
    average: AverageName,
    /// How to convert scores for which lower is better if higher is better for others: 100 − score, TOTAL − score, or 1 / score.
    #[arg(long, value_parser = flip, value_name = "complement|complement:TOTAL|reciprocal")]
    lower_as: Option<Flip>,
}

/// How to print the result.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct Output {
    /// Print one JSON object.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown instead of plain text.
    #[arg(long)]
    markdown: bool,
    /// Maximum number of rows of each printed table, 0 for all. Pages and reports always have all rows.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// Do not print notes about how the files were read.
    #[arg(short, long)]
    quiet: bool,
}

/// A page with charts.
#[derive(Debug, Args)]
struct Picture {
    /// Also write a page with a heat map, ranks against the exponent, and their intervals.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    averages: Averages,
    /// The means: am, gm, hm, median, min, max, or an exponent such as 0.5. Systems are sorted by the first one
    /// [default: am, and gm and hm if they are defined].
    #[arg(long, value_delimiter = ',', value_parser = mean, allow_hyphen_values = true, value_name = "MEAN")]
    mean: Vec<Mean>,
    #[command(flatten)]
    picture: Picture,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Flips {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    averages: Averages,
    /// The two means to compare: lists the pairs that change places between them. The bootstrap uses the first one.
    #[arg(long, num_args = 2, value_parser = mean, allow_hyphen_values = true, value_names = ["MEAN", "MEAN"])]
    between: Vec<Mean>,
    /// Number of bootstrap resamples of the tasks.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    resamples: usize,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Share of the resamples that an interval covers.
    #[arg(long, default_value_t = 0.95)]
    level: f64,
    /// In the bootstrap, also perturb scores by the errors (±) that the table prints.
    #[arg(long)]
    noise: bool,
    #[command(flatten)]
    picture: Picture,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Vote {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    averages: Averages,
    /// The rules.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "RULE")]
    rule: Vec<RuleName>,
    /// The places of systems that tie on a task.
    #[arg(long, value_enum, default_value_t)]
    ties: TiesName,
    /// How to treat a missing score.
    #[arg(long, value_enum, default_value_t)]
    missing: MissingName,
    /// How the minimax rule measures a defeat.
    #[arg(long, value_enum, default_value_t)]
    defeat: DefeatName,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    reading: Reading,
    /// The means to try.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = mean,
        allow_hyphen_values = true,
        default_value = "am,gm,hm",
        value_name = "MEAN"
    )]
    mean: Vec<Mean>,
    /// Maximum number of columns that an explanation may leave out.
    #[arg(long, value_name = "N")]
    most_left_out: Option<usize>,
    /// Number of decimals of the claims [default: the maximum in the column].
    #[arg(long, value_name = "N")]
    digits: Option<u8>,
    /// A weight to try for a column or a group, such as its number of questions; 1 for the others.
    #[arg(long, value_parser = named_number, value_name = "NAME=WEIGHT")]
    weight: Vec<(String, f64)>,
    /// A group of columns, for --weight; the mean of the groups' means is tried too.
    #[arg(long, value_parser = named_list, value_name = "NAME=COLUMN,…")]
    group: Vec<(String, Vec<String>)>,
    /// Also write the report as Markdown.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    report: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
pub fn run(args: RankArgs) -> Result<ExitCode> {
    match args.verb {
        Verb::Show(args) => show(&args),
        Verb::Flips(args) => find_flips(&args),
        Verb::Vote(args) => cast_votes(&args),
        Verb::Check(args) => check_claims(&args),
    }
}

/// Checks, before the work starts, that an output can be written and does not overwrite an input.
fn check_place(out: Option<&PathBuf>, reading: &Reading) -> Result<()> {
    out.map_or(Ok(()), |out| Ok(check_output(out, &reading.files)?))
}

fn show(args: &Show) -> Result<ExitCode> {
    check_place(args.picture.html.as_ref(), &args.reading)?;
    let (table, scores) = scores(&args.reading, &args.averages, &args.output)?;
    let ranking = if args.mean.is_empty() {
        rank_by_three(&scores)?
    } else {
        rank_by(&scores, &args.mean)?
    };
    let first = ranking.columns.first().map_or(Mean::ARITHMETIC, |column| column.mean);
    if args.picture.html.is_some() {
        let options = BootstrapOptions::default();
        // For very many systems, as many resamples as fit into memory.
        let most = resample::MOST_RANKS / scores.systems.len().max(1);
        let resamples = options.resamples.min(most.max(1));
        let bootstrap = resample::bootstrap(&scores, first, BootstrapOptions { resamples, ..options })?;
        draw(&args.picture, &table, &scores, &bootstrap, &args.output)?;
    }
    print(
        &args.output,
        || present::ranking_json(&table, &scores, &ranking),
        || present::ranking_report(&scores, &ranking, args.output.limit),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn find_flips(args: &Flips) -> Result<ExitCode> {
    let between = match args.between[..] {
        [first, second] => [first, second],
        _ => [Mean::ARITHMETIC, Mean::HARMONIC],
    };
    if args.resamples == 0 || !(args.level > 0.0 && args.level < 1.0) {
        return Err(Usage("--resamples must be above 0, and --level between 0 and 1".to_owned()).into());
    }
    check_place(args.picture.html.as_ref(), &args.reading)?;
    let (table, scores) = scores(&args.reading, &args.averages, &args.output)?;
    let most = resample::MOST_RANKS / scores.systems.len().max(1);
    if args.resamples > most {
        return Err(Usage(format!(
            "--resamples {} is more than {most}, the maximum for {} systems: give fewer, or choose systems with --head or --systems",
            args.resamples,
            scores.systems.len()
        ))
        .into());
    }
    let options = BootstrapOptions {
        resamples: args.resamples,
        seed: args.seed,
        level: args.level,
        noise: args.noise,
    };
    let results = FlipResults {
        flips: flips(&scores, between)?,
        bootstrap: resample::bootstrap(&scores, between[0], options)?,
        left_out: resample::leave_one_out(&scores, between[0])?,
    };
    draw(&args.picture, &table, &scores, &results.bootstrap, &args.output)?;
    print(
        &args.output,
        || present::flips_json(&table, &scores, &results),
        || present::flips_report(&scores, &results, args.output.limit),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn cast_votes(args: &Vote) -> Result<ExitCode> {
    let table = read_table(&args.reading, &args.averages.merge)?;
    let partial = table.select_partial(&selection(&table, &args.reading, &args.averages))?;
    say(&args.output, table.notes.iter().chain(&partial.scores.notes));
    let rules: Vec<Rule> = if args.rule.is_empty() {
        Rule::ALL.to_vec()
    } else {
        args.rule.iter().map(|&rule| rule.into()).collect()
    };
    let options = vote::Options {
        ties: args.ties.into(),
        missing: args.missing.into(),
        defeat: args.defeat.into(),
    };
    let outcomes = vote::vote(&partial, &rules, options)?;
    print(
        &args.output,
        || present::votes_json(&table, &partial.scores, &outcomes),
        || present::votes_report(&partial.scores, &outcomes, args.output.limit),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn check_claims(args: &Check) -> Result<ExitCode> {
    check_place(args.report.as_ref(), &args.reading)?;
    let rows = Selection {
        systems: args.reading.systems.clone(),
        head: args.reading.head,
        unranked: args.reading.unranked.into(),
        ..Selection::default()
    };
    let table = read_table(&args.reading, &[])?.with_rows(&rows)?;
    table.require_headings(&args.reading.without)?;
    if let Columns::Named(names) = columns(&args.reading) {
        table.require_headings(&names)?;
    }
    say(&args.output, table.notes.iter());
    let options = check::Options {
        means: args.mean.clone(),
        most_left_out: args.most_left_out,
        decimals: args.digits,
        weights: args.weight.clone(),
        groups: args.group.clone(),
    };
    let found = check(&table, &options)?;
    if let Some(path) = &args.report {
        write_file(path, present::check_report(&table, &found, 0).to_markdown().as_bytes())?;
        say(&args.output, [format!("wrote {}", path.display())].iter());
    }
    print(
        &args.output,
        || present::check_json(&table, &found),
        || present::check_report(&table, &found, args.output.limit),
    )?;
    Ok(if found.is_consistent() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn scores(reading: &Reading, averages: &Averages, output: &Output) -> Result<(Table, Scores)> {
    let table = read_table(reading, &averages.merge)?;
    // Notes are printed even if the selection fails, since they help to find the cause.
    let scores = table.select(&selection(&table, reading, averages));
    let notes = scores.as_ref().map(|scores| scores.notes.clone()).unwrap_or_default();
    say(output, table.notes.iter().chain(&notes));
    Ok((table, scores?))
}

fn read_table(reading: &Reading, merge: &[(String, Vec<String>)]) -> Result<Table> {
    if let Some(name) = reading.lower.iter().find(|name| reading.higher.contains(name)) {
        return Err(Usage(format!(
            "--lower and --higher both name `{name}`: name it in one of them"
        ))
        .into());
    }
    let is_merged = |name: &String| merge.iter().any(|(merged, _)| merged == name);
    let mut tasks: Vec<String> = Vec::new();
    if let Columns::Named(names) = columns(reading) {
        tasks.extend(names.into_iter().filter(|name| !is_merged(name)));
        tasks.extend(merge.iter().flat_map(|(_, members)| members.iter().cloned()));
    }
    let options = read::Options {
        format: reading.input_format.map(Into::into),
        table: reading.table,
        delimiter: reading.delimiter,
        system: reading.system.clone(),
        tasks,
        ignore: reading
            .without
            .iter()
            .filter(|name| !is_merged(name))
            .cloned()
            .collect(),
        claims: reading.claims.clone(),
        lower: reading.lower.clone(),
        higher: reading.higher.clone(),
        decimal: reading.decimal.map(Into::into),
        parentheses: reading.parentheses.into(),
        metric: reading.metric.clone(),
        metric_rows: reading.runs.map(Into::into),
    };
    Ok(read::read_paths(
        &reading.files,
        &options,
        reading.prefer.map(Into::into),
    )?)
}

fn columns(reading: &Reading) -> Columns {
    match reading.columns.as_slice() {
        [] => Columns::All,
        [only] if only == "common" => Columns::Common,
        names => Columns::Named(names.to_vec()),
    }
}

fn selection(table: &Table, reading: &Reading, averages: &Averages) -> Selection {
    let is_merged = |name: &String| averages.merge.iter().any(|(merged, _)| merged == name);
    Selection {
        columns: columns(reading),
        // Other columns were not read at all.
        without: reading
            .without
            .iter()
            .filter(|name| is_merged(name) || !table.has_heading(name))
            .cloned()
            .collect(),
        systems: reading.systems.clone(),
        head: reading.head,
        unranked: reading.unranked.into(),
        drop_rows: averages.drop_rows,
        metrics: averages.metrics.into(),
        merge: averages.merge.clone(),
        groups: averages.group.clone(),
        weights: averages.weight.clone(),
        averaging: averages.average.into(),
        flip: averages.lower_as,
    }
}

/// Prints notes on standard error.
fn say<'a>(output: &Output, notes: impl Iterator<Item = &'a String>) {
    if !output.quiet {
        // A closed standard error is ignored.
        let mut stderr = std::io::stderr().lock();
        notes.for_each(|note| drop(writeln!(stderr, "{note}")));
    }
}

fn print(output: &Output, json: impl FnOnce() -> serde_json::Value, report: impl FnOnce() -> Report) -> Result<()> {
    if output.json {
        return output::print_json(&json());
    }
    let report = report();
    let mut stdout = std::io::stdout().lock();
    let text = if output.markdown {
        report.to_markdown()
    } else {
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        report.to_text(colour)
    };
    stdout.write_all(text.as_bytes())?;
    Ok(())
}

fn draw(picture: &Picture, table: &Table, scores: &Scores, bootstrap: &Bootstrap, output: &Output) -> Result<()> {
    let Some(path) = &picture.html else { return Ok(()) };
    let title = title(table);
    check_page(path, &title)?;
    let page = picture::page(scores, bootstrap, &title)?;
    write_file(path, page.as_bytes())?;
    say(output, [format!("wrote {}", path.display())].iter());
    Ok(())
}

/// The names of the table's files.
fn title(table: &Table) -> String {
    let name = |source: &String| {
        source
            .rsplit(std::path::MAIN_SEPARATOR)
            .next()
            .unwrap_or(source)
            .to_owned()
    };
    table.sources.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A setting of the library as a flag.
pub fn flag(setting: &Setting) -> String {
    let name = match setting.name.as_str() {
        "tasks" => "columns",
        "ignore" => "without",
        "format" => "input-format",
        "means" => "mean",
        "groups" => "group",
        "flip" => "lower-as",
        name => &name.replace('_', "-"),
    };
    match &setting.value {
        Some(value) => format!("--{name} {value}"),
        None => format!("--{name}"),
    }
}

fn mean(text: &str) -> Result<Mean, String> {
    text.parse().map_err(|error: kexue_rank::Error| error.to_string())
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" | "\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err("give one character, or `tab`".to_owned()),
        },
    }
}

fn named_list(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, members) = text.split_once('=').ok_or("give NAME=COLUMN,COLUMN")?;
    let members: Vec<String> = members
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .map(str::to_owned)
        .collect();
    if name.trim().is_empty() || members.is_empty() {
        return Err("give NAME=COLUMN,COLUMN".to_owned());
    }
    Ok((name.trim().to_owned(), members))
}

fn named_number(text: &str) -> Result<(String, f64), String> {
    let (name, number) = text.rsplit_once('=').ok_or("give NAME=WEIGHT")?;
    match number.trim().parse::<f64>() {
        Ok(weight) if weight.is_finite() && weight >= 0.0 => Ok((name.trim().to_owned(), weight)),
        _ => Err("the weight must be a number, 0 or more".to_owned()),
    }
}

fn flip(text: &str) -> Result<Flip, String> {
    match text.split_once(':') {
        None if text == "complement" => Ok(Flip::Complement(100.0)),
        None if text == "reciprocal" => Ok(Flip::Reciprocal),
        Some(("complement", total)) => match total.parse::<f64>() {
            Ok(total) if total.is_finite() => Ok(Flip::Complement(total)),
            _ => Err("the total is not a number".to_owned()),
        },
        _ => Err("give complement, complement:TOTAL or reciprocal".to_owned()),
    }
}

/// The values of a flag, and the settings that they stand for.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident => $target:ty { $($(#[$variant_doc:meta])* $variant:ident = $value:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, ValueEnum)]
        enum $name { $($(#[$variant_doc])* $variant),+ }

        impl From<$name> for $target {
            fn from(name: $name) -> Self {
                match name { $($name::$variant => $value),+ }
            }
        }
    };
}

/// As [`names!`]; the first value is the default.
macro_rules! names_with_default {
    ($name:ident => $target:ty { $(#[$first_doc:meta])* $first:ident = $first_value:expr, $($rest:tt)* }) => {
        names!($name => $target { $(#[$first_doc])* $first = $first_value, $($rest)* });

        impl Default for $name {
            fn default() -> Self {
                Self::$first
            }
        }
    };
}

names!(FormatName => Format {
    /// Comma-separated values, or with another separator.
    Csv = Format::Csv,
    /// Tab-separated values.
    Tsv = Format::Tsv,
    /// A pipe table.
    Markdown = Format::Markdown,
    /// A tabular environment.
    Latex = Format::Latex,
    /// Papers with Code, HELM, lm-evaluation-harness, records.
    Json = Format::Json,
    /// One JSON object a line, with a step.
    Metrics = Format::Metrics,
});
names!(DecimalName => DecimalMark { Point = DecimalMark::Point, Comma = DecimalMark::Comma });
names!(PreferName => Prefer { First = Prefer::First, Last = Prefer::Last });
names!(RunsName => MetricRows { Steps = MetricRows::Steps, Last = MetricRows::Last });
names!(RuleName => Rule {
    Plurality = Rule::Plurality,
    Borda = Rule::Borda,
    Dowdall = Rule::Dowdall,
    Copeland = Rule::Copeland,
    Minimax = Rule::Minimax,
    Condorcet = Rule::Condorcet,
    Threshold = Rule::Threshold,
    Baldwin = Rule::Baldwin,
});
names_with_default!(ParenthesesName => Parentheses {
    /// Refuse the cell.
    Refuse = Parentheses::Refuse,
    /// Ignore the number.
    Drop = Parentheses::Drop,
    /// Read it as the error of the score.
    Error = Parentheses::Error,
});
names_with_default!(UnrankedName => Unranked { Keep = Unranked::Keep, Drop = Unranked::Drop, });
names_with_default!(MetricsName => Metrics {
    /// The mean of their metrics.
    Average = Metrics::Average,
    /// Every metric is a task; together they have the weight of one.
    Split = Metrics::Split,
    /// The first metric.
    First = Metrics::First,
    /// The last metric.
    Last = Metrics::Last,
});
names_with_default!(AverageName => Averaging {
    /// Every column.
    Micro = Averaging::Micro,
    /// Every group.
    Macro = Averaging::Macro,
});
names_with_default!(TiesName => vote::Ties {
    /// Tied systems share the points of their places.
    Share = vote::Ties::Share,
    /// All get the best of their places.
    Best = vote::Ties::Best,
    /// All get the worst of their places.
    Worst = vote::Ties::Worst,
    /// As the Python package votenrank: worst, but best for Dowdall.
    Votenrank = vote::Ties::Votenrank,
});
names_with_default!(MissingName => vote::Missing {
    /// Refuse tables with missing scores.
    Refuse = vote::Missing::Refuse,
    /// No vote in the system's duels on that task; only for Copeland, minimax and Condorcet.
    Pairwise = vote::Missing::Pairwise,
    /// The system is last on the task.
    Last = vote::Missing::Last,
});
names_with_default!(DefeatName => vote::Defeat {
    /// The votes of the winner.
    WinningVotes = vote::Defeat::WinningVotes,
    /// The votes of the winner minus those of the loser.
    Margins = vote::Defeat::Margins,
    /// The votes against the system, in defeats and victories.
    Opposition = vote::Defeat::Opposition,
});
