//! What stands behind the `?` of a URL: names and values, percent-decoded once (WHATWG URL §5.1).

use super::problem::Problem;
use axum::http::StatusCode;

/// # Errors
/// 400 for what is no UTF-8 once it is decoded, and for a name that comes twice: one of its values would count for nothing.
pub(super) fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    });
    let pairs: Vec<(String, String)> = decoded
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("the query is not UTF-8, or a % in it has no two digits"))?;
    let is_twice =
        |(at, (name, _)): (usize, &(String, String))| pairs[..at].iter().any(|(earlier, _)| earlier == name);
    match pairs.iter().enumerate().any(is_twice) {
        true => Err(wrong("a parameter of the query stands twice; give each once")),
        false => Ok(pairs),
    }
}

pub(super) fn wrong(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-query", detail)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_once() {
        let read = |query| pairs(Some(query)).ok();
        let expected = [("campaign", "c 42/ä&="), ("after", "7"), ("x", ""), ("y", "%41")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(read("campaign=c+42%2F%C3%a4%26%3D&&after=7&x&y=%2541"), Some(expected));
        for query in ["a=%", "a=%4", "a=%zz", "a=%ff", "after=1&after=2", "a=1&b&%61=1"] {
            assert_eq!(read(query), None, "{query}");
        }
        assert_eq!(pairs(None).unwrap(), []);
    }
}
