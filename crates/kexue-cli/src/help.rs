//! Help in Chinese.

use crate::language::{self, Language};
use clap::{Arg, Command};
use std::collections::BTreeMap;

/// The texts by command, then by argument.
type Texts = BTreeMap<String, BTreeMap<String, String>>;

/// The command with help in the language of the environment.
pub fn localized(command: Command) -> Command {
    match language::of_environment() {
        Language::English => command,
        Language::Chinese => in_chinese(command),
    }
}

fn in_chinese(mut command: Command) -> Command {
    // So that arguments that all commands have are in each of them.
    command.build();
    translated(command, "", &chinese())
}

fn chinese() -> Texts {
    // A test reads it.
    toml::from_str(include_str!("help.zh.toml")).unwrap_or_default()
}

/// The text of a command's argument, and the table that has it: the table of the command, of one above it, or `shared`.
fn text_of<'a>(texts: &'a Texts, command: &str, argument: &str) -> Option<(&'a str, &'a str)> {
    let tables = std::iter::successors(Some(command), |name| Some(name.rsplit_once(' ')?.0)).chain(["shared"]);
    tables
        .filter_map(|table| texts.get_key_value(table))
        .find_map(|(table, texts)| {
            let text = texts.get(argument)?;
            Some((table.as_str(), text.as_str()))
        })
}

/// Translates a command and its subcommands.
fn translated(mut command: Command, name: &str, texts: &Texts) -> Command {
    command = command
        .subcommand_help_heading("命令")
        .help_template("{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}")
        .mut_args(|arg| match text_of(texts, name, arg.get_id().as_str()) {
            Some((_, text)) => in_words(arg, text.to_owned()),
            None => arg,
        });
    let own = |key: &str| texts.get(name).and_then(|texts| texts.get(key)).cloned();
    if let Some(about) = own("about") {
        command = command.about(about).long_about(None);
    }
    let english = command.get_after_help().map(ToString::to_string);
    let examples = english.map(|text| text.replacen("Examples:", "例：", 1).replacen("Example:", "例：", 1));
    if let Some(after) = own("after").or(examples) {
        command = command.after_help(after.trim_start().to_owned());
    }
    let subcommands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for sub in subcommands {
        let path = format!("{name} {sub}").trim_start().to_owned();
        command = command.mut_subcommand(&sub, |sub| match sub.get_name() {
            "help" => sub.about("打印帮助，或某个命令的帮助"),
            _ => translated(sub, &path, texts),
        });
    }
    command
}

/// An argument with a text, and with its default and its possible values in the same language.
fn in_words(arg: Arg, mut text: String) -> Arg {
    let listed = |values: Vec<String>| values.join("、");
    let possible = arg
        .get_possible_values()
        .into_iter()
        .filter(|value| !value.is_hide_set());
    let possible: Vec<String> = possible.map(|value| value.get_name().to_owned()).collect();
    if !possible.is_empty() && !arg.is_hide_possible_values_set() {
        text += &format!(" [可选：{}]", listed(possible));
    }
    let defaults = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned());
    let defaults: Vec<String> = defaults.collect();
    // A flag's default is that it is not given.
    let has_default = arg.get_action().takes_values() && !defaults.is_empty() && !arg.is_hide_default_value_set();
    if has_default && !text.contains("[默认：") {
        text += &format!(" [默认：{}]", listed(defaults));
    }
    let heading = chinese_heading(&arg);
    // Under a heading of their own, clap sorts them by name otherwise.
    let arg = match arg.get_index() {
        Some(index) => arg.display_order(index),
        None => arg,
    };
    arg.help(text)
        .long_help(None)
        .help_heading(heading)
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// The heading of an argument.
fn chinese_heading(arg: &Arg) -> &'static str {
    match arg.get_help_heading().unwrap_or_default() {
        "Everywhere" => "通用",
        "Decoding" => "解码",
        "Inference" => "推理",
        "Access" => "访问",
        "Limits" => "限额",
        "Model" => "模型",
        "Training" => "训练",
        "Training questions" => "训练问题",
        "Device" => "设备",
        "Reading" => "读入",
        "Averaging" => "求平均",
        "Output" => "输出",
        "Columns" => "列",
        "Methods" => "方法",
        "Objective" => "目标函数",
        _ if ["help", "version"].contains(&arg.get_id().as_str()) => "通用",
        _ if arg.is_positional() => "参数",
        _ => "选项",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    /// All commands by their path, but for what this build is without.
    fn all_commands(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
        found.push((name.to_owned(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            all_commands(sub, format!("{name} {}", sub.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_text_has_its_place_and_every_place_its_text() {
        let texts: Texts = toml::from_str(include_str!("help.zh.toml")).unwrap();
        let mut unused: BTreeSet<(&str, &str)> = BTreeSet::new();
        for (table, texts) in &texts {
            unused.extend(texts.keys().map(|key| (table.as_str(), key.as_str())));
        }
        let mut command = Cli::command();
        command.build();
        let mut commands = Vec::new();
        all_commands(&command, "", &mut commands);
        for (name, command) in &commands {
            assert!(unused.remove(&(name.as_str(), "about")), "`{name}` has no about");
            unused.remove(&(name.as_str(), "after"));
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let id = arg.get_id().as_str();
                let (table, _) = text_of(&texts, name, id).unwrap_or_else(|| panic!("`{name}` has no text for {id}"));
                unused.remove(&(table, id));
            }
        }
        if cfg!(not(feature = "burn")) {
            unused.retain(|(table, _)| !["gan", "penalty"].contains(&table.split(' ').next().unwrap_or_default()));
        }
        assert!(unused.is_empty(), "no command has {unused:?}");
    }

    #[test]
    fn chinese_help_is_chinese() {
        let mut command = in_chinese(Cli::command());
        let page = command.render_long_help().to_string();
        for text in ["用法：", "命令", "知识图谱", "退出码"] {
            assert!(page.contains(text), "{text} in {page}");
        }
        let ask = command
            .find_subcommand_mut("ask")
            .unwrap()
            .render_long_help()
            .to_string();
        for text in ["参数", "解码", "束搜索", "kexue ask 法国"] {
            assert!(ask.contains(text), "{text} in {ask}");
        }
        assert!(!ask.contains("Number of hypotheses"), "{ask}");
    }

    #[test]
    fn defaults_and_possible_values_are_said_in_chinese() {
        let mut command = in_chinese(Cli::command());
        let vae = command.find_subcommand_mut("vae").unwrap();
        let page = vae.find_subcommand_mut("train").unwrap().render_long_help().to_string();
        for text in [
            "[默认：80]",
            "[可选：vae、iwae、dreg] [默认：vae]",
            "two-layers：",
            "目标函数",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        for english in ["[default", "ossible values"] {
            assert!(!page.contains(english), "{english} in {page}");
        }
    }
}
