//! Bearer tokens.

use crate::ServeError;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use std::path::Path;
use subtle::{Choice, ConstantTimeEq as _};

/// The fewest characters of a token: guessing shorter ones is a matter of patience.
const LEAST: usize = 16;

/// Tokens that a client may show.
#[derive(Clone, Default)]
pub struct Tokens(Vec<Vec<u8>>);

impl Tokens {
    /// Reads a file of tokens, one a line. Blank lines and lines that begin with `#` are none.
    ///
    /// # Errors
    /// If the file cannot be read, has no token, or has one of fewer than 16 characters or of characters that no header carries.
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
                format!("a token of {} characters; {LEAST} are the fewest", token.len())
            } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                "a token of other characters than visible ASCII".to_owned()
            } else {
                tokens.push(token.as_bytes().to_vec());
                continue;
            };
            return Err(file_problem(format!(
                "line {}: {problem}; `openssl rand -hex 24` makes a good one",
                number + 1
            )));
        }
        if tokens.is_empty() {
            return Err(file_problem("there is no token in it; expected one a line".to_owned()));
        }
        Ok(Self(tokens))
    }

    /// These tokens, unchecked.
    pub fn of(tokens: &[&str]) -> Self {
        Self(tokens.iter().map(|token| token.as_bytes().to_vec()).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request shows one of them. The time it takes does not tell how much of a token was right.
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
