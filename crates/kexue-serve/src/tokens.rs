//! Bearer tokens.

use crate::ServeError;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use std::path::Path;
use subtle::{Choice, ConstantTimeEq as _};

/// Minimum length of a token. Shorter ones could be guessed.
const LEAST: usize = 16;

/// A set of tokens, one of which a client must send.
#[derive(Clone, Default)]
pub struct Tokens(Vec<Vec<u8>>);

impl Tokens {
    /// Reads a file of tokens, one per line. Blank lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// If the file cannot be read or has no token, or if a token is shorter than 16 characters or not visible ASCII.
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        let file_problem = |problem: String| ServeError::File {
            path: path.to_path_buf(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|error| file_problem(error.to_string()))?;
        let mut tokens = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let token = line.trim();
            if token.is_empty() || token.starts_with('#') {
                continue;
            }
            let problem = if token.len() < LEAST {
                format!("the token has {} characters; expected at least {LEAST}", token.len())
            } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                "the token has characters other than visible ASCII".to_owned()
            } else {
                tokens.push(token.as_bytes().to_vec());
                continue;
            };
            return Err(file_problem(format!(
                "line {}: {problem}; `openssl rand -hex 24` prints a good one",
                number + 1
            )));
        }
        if tokens.is_empty() {
            return Err(file_problem("the file has no token; expected one per line".to_owned()));
        }
        Ok(Self(tokens))
    }

    /// A set of these tokens, which are not checked.
    pub fn of(tokens: &[&str]) -> Self {
        Self(tokens.iter().map(|token| token.as_bytes().to_vec()).collect())
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request has one of these tokens. The time this takes does not depend on how much of a token is right.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().as_bytes())
        });
        let Some(shown) = shown else { return false };
        let mut found = Choice::from(0);
        for token in &self.0 {
            found |= token.as_slice().ct_eq(shown);
        }
        found.into()
    }
}
