//! The shapes of codes that others assign.

/// Whether `text` is a dotted OID: numbers without leading zeros, the first 0, 1 or 2.
#[must_use]
pub fn is_oid(text: &str) -> bool {
    let number = |arc: &str| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
    let mut arcs = text.split('.');
    text.len() <= 128
        && arcs.next().is_some_and(|first| matches!(first, "0" | "1" | "2"))
        && text.contains('.')
        && arcs.all(number)
}

/// Whether `text` is a LOINC code: digits, a dash, and a Luhn (mod 10) check digit.
#[must_use]
pub fn is_loinc(text: &str) -> bool {
    let Some((number, check)) = text.split_once('-') else { return false };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(number) || number.len() > 8 || check.len() != 1 || !digits(check) {
        return false;
    }
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, b)| {
            let d = u32::from(b - b'0');
            if place % 2 == 0 { (2 * d) / 10 + (2 * d) % 10 } else { d }
        })
        .sum();
    (10 - sum % 10) % 10 == u32::from(check.as_bytes()[0] - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loinc_codes_have_a_check_digit() {
        for good in ["103592-2", "18748-4", "11502-2", "34807-8", "78657-4", "11488-4"] {
            assert!(is_loinc(good), "{good}");
        }
        for bad in ["28619-8", "18748-5", "18748", "-4", "18748-44", "a-1"] {
            assert!(!is_loinc(bad), "{bad}");
        }
    }

    #[test]
    fn oids_are_dotted_numbers() {
        assert!(is_oid("2.16.840.1.113883.19.5"));
        for bad in ["ORDERS", "2", "3.1", "2.016", "2..1", "", "2.16."] {
            assert!(!is_oid(bad), "{bad}");
        }
    }
}
