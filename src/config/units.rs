//! Quantities as people write them: sizes, spans of time, rates.

use std::time::Duration;

/// Bytes: `512`, `64KiB`, `25MB`, `1GiB`.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Bytes as they are written and read again: `1`, `64KiB`, `1GiB`; what is no whole number of a unit in the largest one that
/// leaves a number worth reading.
pub fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = units.iter().find(|(_, shift)| bytes >= 1 << shift && bytes.trailing_zeros() >= *shift);
    let large = || units.iter().find(|(_, shift)| bytes >> shift >= 10);
    match whole.or_else(large) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

/// A span: `500ms`, `10s`, `5m`, `1h`, `7d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Messages per second: `500/s`, or `6000/m` where that is a whole number of at least one per second.
pub fn rate_per_second(text: &str) -> Option<u32> {
    let (number, unit) = split(text)?;
    let per_second = match unit {
        "/s" => number,
        "/m" => number / 60,
        _ => return None,
    };
    u32::try_from(per_second).ok().filter(|rate| *rate > 0)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!(bytes("64MiB"), Some(64 << 20));
        assert_eq!(bytes("25 MB"), Some(25_000_000));
        assert_eq!(bytes("lots"), None);
        for (number, text) in [
            (0, "0"),
            (1, "1"),
            (1000, "1000"),
            (1 << 20, "1MiB"),
            (64 << 10, "64KiB"),
            (10_300, "10KiB"),
            (12_345_678, "11MiB"),
            (5_000_000, "4882KiB"),
            (3 << 30, "3GiB"),
        ] {
            assert_eq!(size(number), text);
        }
        assert_eq!(bytes("99999999999GiB"), None);
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("7d"), Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(duration("5"), None);
        assert_eq!(rate_per_second("500/s"), Some(500));
        assert_eq!(rate_per_second("6000/m"), Some(100));
        assert_eq!(rate_per_second("0/s"), None);
    }
}
