//! Help in Chinese.

use crate::language::{self, Language};
use clap::{Arg, Command};
use std::collections::BTreeMap;

type Texts = BTreeMap<String, String>;

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

/// The texts by command, then by argument.
fn chinese() -> BTreeMap<String, Texts> {
    // A test reads it.
    toml::from_str(include_str!("help.zh.toml")).unwrap_or_default()
}

/// Translates a command if there are texts for it, and its subcommands.
fn translated(mut command: Command, name: &str, texts: &BTreeMap<String, Texts>) -> Command {
    let text = |table: &str, key: &str| texts.get(table).and_then(|texts| texts.get(key)).cloned();
    if texts.contains_key(name) {
        command = command
            .subcommand_help_heading("命令")
            .help_template("{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}")
            .mut_args(|arg| {
                let id = arg.get_id().as_str();
                let help = text(name, id).or_else(|| text("shared", id));
                let heading = chinese_heading(&arg);
                // Under a heading of their own, clap sorts them by name otherwise.
                let arg = match arg.get_index() {
                    Some(index) => arg.display_order(index),
                    None => arg,
                };
                match help {
                    Some(help) => arg.help(help).long_help(None).help_heading(heading),
                    None => arg,
                }
            });
        if let Some(about) = text(name, "about") {
            command = command.about(about).long_about(None);
        }
        let examples = command
            .get_after_help()
            .map(|text| text.to_string().replacen("Example:", "例：", 1));
        if let Some(after) = text(name, "after").or(examples) {
            command = command.after_help(after.trim_start().to_owned());
        }
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

/// The heading of an argument.
fn chinese_heading(arg: &Arg) -> &'static str {
    match arg.get_help_heading().unwrap_or_default() {
        "Everywhere" => "通用",
        "Decoding" => "解码",
        "Access" => "访问",
        "Limits" => "限额",
        "Model" => "模型",
        "Training" => "训练",
        "Training questions" => "训练问题",
        "Device" => "设备",
        "Reading" => "读入",
        "Averaging" => "求平均",
        "Output" => "输出",
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

    /// The commands whose arguments are translated, by their path.
    fn main_commands(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
        let first = name.split(' ').next().unwrap_or_default();
        if ["", "ask", "kg", "qa", "rank", "serve", "vocab"].contains(&first) {
            found.push((name.to_owned(), command.clone()));
        }
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            main_commands(sub, format!("{name} {}", sub.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_text_has_its_place_and_every_place_its_text() {
        let mut all: BTreeMap<String, Texts> = toml::from_str(include_str!("help.zh.toml")).unwrap();
        let mut command = Cli::command();
        command.build();
        let mut commands = Vec::new();
        main_commands(&command, "", &mut commands);
        let mut shared = all.remove("shared").unwrap();
        let texts = all.clone();
        let translated = shared.clone();
        for (name, command) in &commands {
            let own = all.get_mut(name).unwrap_or_else(|| panic!("nothing for `{name}`"));
            assert!(own.remove("about").is_some(), "`{name}` has no about");
            own.remove("after");
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let id = arg.get_id().as_str();
                let is_own = own.remove(id).is_some();
                assert!(is_own || translated.contains_key(id), "`{name}` has no text for {id}");
                if !is_own {
                    shared.remove(id);
                }
            }
            assert!(own.is_empty(), "`{name}` has no arguments {own:?}");
        }
        assert!(shared.is_empty(), "no command has {shared:?}");
        let is_known = |name: &str| {
            let mut words = name.split_whitespace();
            words.try_fold(&command, |at, sub| at.find_subcommand(sub)).is_some()
        };
        for name in texts.keys() {
            assert!(is_known(name), "there is no command `{name}`");
        }
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
}
