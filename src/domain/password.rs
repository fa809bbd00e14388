//! Passwords: which are refused, and how long one waits after wrong ones.

use std::time::Duration;

use super::Timestamp;

/// Fewest characters.
pub const LEAST: usize = 12;
/// Most octets: more costs time and adds nothing.
pub const MOST: usize = 256;
/// So many wrong ones in a row are forgiven.
pub const FORGIVEN: u32 = 5;
/// The first wait after that; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest: an attacker must not lock people out for good.
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// After so long without a wrong one the count begins anew.
pub const FORGOTTEN: Duration = Duration::from_hours(24);

/// What every list of broken passwords begins with and what is twelve characters long or gets there by repeating.
const OBVIOUS: &[&str] = &[
    "password",
    "passwort",
    "letmein",
    "welcome",
    "qwerty",
    "qwertz",
    "asdfgh",
    "zxcvbn",
    "iloveyou",
    "administrator",
    "changeme",
    "trustno1",
    "sunshine",
    "football",
    "baseball",
    "princess",
    "dragon",
    "monkey",
    "superman",
    "abc123",
    "secret",
    "postern",
    "default",
    "admin",
    "login",
    "hospital",
    "doctor",
    "health",
    "medical",
    "clinic",
];

/// Why a password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too short.
    #[error("is shorter than {LEAST} characters; a few words in a row are easy to remember")]
    Short,
    /// Too long.
    #[error("is longer than {MOST} octets")]
    Long,
    /// It holds the login.
    #[error("holds your login")]
    Login,
    /// Among the first that anybody tries.
    #[error("is among the first that anybody would try")]
    Obvious,
    /// The same as before.
    #[error("is the one you have already")]
    Same,
}

/// Whether somebody who signs in as `login` may have this password.
///
/// # Errors
/// [`Refused`] says why not.
pub fn check(password: &str, login: &str) -> Result<(), Refused> {
    if password.chars().count() < LEAST {
        return Err(Refused::Short);
    }
    if password.len() > MOST {
        return Err(Refused::Long);
    }
    let plain = password.to_lowercase();
    let name = login.split('@').next().unwrap_or_default().to_lowercase();
    if name.chars().count() >= 3 && plain.contains(&name) {
        return Err(Refused::Login);
    }
    // What is left when the obvious word and what people put around it are taken away.
    let letters: String = plain.chars().filter(|c| c.is_alphabetic()).collect();
    let bare: String = plain.chars().filter(|c| c.is_alphanumeric()).collect();
    let obvious = OBVIOUS.iter().any(|word| {
        let rest = |text: &str| text.replace(word, "").chars().count();
        rest(&letters) == 0 || rest(&bare) < 4
    });
    if obvious || monotonous(&plain) {
        return Err(Refused::Obvious);
    }
    Ok(())
}

/// Few different characters, or each the one after the one before.
fn monotonous(text: &str) -> bool {
    let different: std::collections::BTreeSet<char> = text.chars().collect();
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps = codes.windows(2).filter(|pair| (pair[1] - pair[0]).abs() == 1).count();
    different.len() < 5 || steps * 4 >= codes.len() * 3
}

/// How long nobody gets in under this name, or from this address, after so many wrong tries in a row.
#[must_use]
pub fn wait(wrong: u32, forgiven: u32) -> Duration {
    let Some(beyond) = wrong.checked_sub(forgiven) else { return Duration::ZERO };
    FIRST_WAIT.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX)).min(LONGEST_WAIT)
}

/// How many wrong tries there are now, when there were `before` and the last was at `last`.
#[must_use]
pub fn wrong_now(before: u32, last: Timestamp, now: Timestamp) -> u32 {
    if now.since(last) > FORGOTTEN { 1 } else { before.saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_obvious_and_repeated_passwords_and_the_login_are_refused() {
        for (password, why) in [
            ("short", Refused::Short),
            ("elevenchars", Refused::Short),
            ("passwordpassword", Refused::Obvious),
            ("Password1234!", Refused::Obvious),
            ("P@ssw0rd-riverjo", Refused::Login),
            ("changeme2026!!", Refused::Obvious),
            ("aaaaaaaaaaaaaa", Refused::Obvious),
            ("123456789012", Refused::Obvious),
            ("abcdefghijklmn", Refused::Obvious),
            ("riverjo-is-my-name", Refused::Login),
        ] {
            assert_eq!(check(password, "RiverJo@lab.example"), Err(why), "{password}");
        }
        assert_eq!(check(&"xy-1".repeat(80), "a"), Err(Refused::Long));
    }

    #[test]
    fn a_few_words_and_random_text_are_taken() {
        for password in
            ["correct horse battery staple", "h2K9-vQpz-71Lm", "zwölf Boxkämpfer jagen", "my password is a long sentence"]
        {
            assert_eq!(check(password, "jo"), Ok(()), "{password}");
        }
    }

    #[test]
    fn the_wait_grows_and_ends() {
        let waits: Vec<u64> = (0..12).map(|wrong| wait(wrong, FORGIVEN).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900]);
        assert_eq!(wait(u32::MAX, FORGIVEN), LONGEST_WAIT);
    }

    #[test]
    fn wrong_tries_of_long_ago_are_forgotten() {
        let now = Timestamp(1_000_000_000_000);
        assert_eq!(wrong_now(7, now, now.plus(Duration::from_hours(1))), 8);
        assert_eq!(wrong_now(7, now, now.plus(Duration::from_hours(25))), 1);
    }
}
