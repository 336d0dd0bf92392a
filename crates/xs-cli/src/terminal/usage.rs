//! What clap says: the help, the version, and what is wrong with the words of a command.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Error, ValueEnum as _};

use super::colour::ColourChoice;
use super::conceal::conceal;
use crate::failure::USAGE_CODE;
use crate::output;

/// Says it, and how the process ends. `has_address`: whether the environment has the address of a server.
pub(crate) fn report(mut error: Error, argv: &[OsString], has_address: bool) -> ExitCode {
    if error.kind() == ErrorKind::MissingRequiredArgument && !has_address && calls_a_server(&error) {
        let tip = "with XS_ADDR set to an address, none has to be given";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    let is_error = error.use_stderr();
    let is_terminal = if is_error { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    let said = error.render();
    // What is parsed is not there, so that its choice of colours is not, either.
    let text = match is_terminal && colours(argv).is_on() {
        true => said.ansi().to_string(),
        false => said.to_string(),
    };
    if is_error {
        let _ = std::io::stderr().write_all(conceal(&text).as_bytes());
        return ExitCode::from(USAGE_CODE);
    }
    match output::print(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Whether the command takes an address, as its usage says.
fn calls_a_server(error: &Error) -> bool {
    error.render().to_string().contains("<ADDR>")
}

/// What `--color` says, where it says something.
fn colours(argv: &[OsString]) -> ColourChoice {
    let mut words = argv.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let choice = match word.strip_prefix("--color") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if let Some(choice) = choice.and_then(|choice| ColourChoice::from_str(choice, false).ok()) {
            return choice;
        }
    }
    ColourChoice::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_of_colours_is_found_in_words_that_are_wrong() {
        let colours = |words: &str| colours(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
        for (words, choice) in [
            ("xs --color never cat --bad", ColourChoice::Never),
            ("xs cat --bad --color=always", ColourChoice::Always),
            ("xs --color=loud --colour never", ColourChoice::Auto),
            ("xs cat --color", ColourChoice::Auto),
            ("xs -- --color never", ColourChoice::Auto),
        ] {
            assert_eq!(colours(words), choice, "{words}");
        }
    }
}
