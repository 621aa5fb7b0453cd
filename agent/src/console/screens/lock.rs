//! The lock: the password is asked for, chosen and changed.

use std::time::Duration;

use super::super::command::Command;
use super::super::form::{Field, Form};

pub(in super::super) const PASSWORD: &str = "Password";
const OLD: &str = "Old password";
const NEW: &str = "New password";
const AGAIN: &str = "New, again";

/// Characters.
const LENGTH_MIN: usize = 8;
/// Characters: hashing takes longer for a longer one.
const LENGTH_MAX: usize = 128;
/// Without a key for so long, the console locks itself.
const IDLE: Duration = Duration::from_secs(600);
/// Wrong passwords in a row that cost nothing.
const FREE_ATTEMPTS: u32 = 3;
const DELAY_MAX: Duration = Duration::from_secs(60);

/// Wrong passwords in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Attempts {
    failures: u32,
    not_before: Duration,
}

impl Attempts {
    /// # Errors
    /// How long the operator has to wait.
    pub(in super::super) fn allowed(self, now: Duration) -> Result<(), String> {
        match self.not_before.checked_sub(now) {
            Some(wait) if !wait.is_zero() => Err(format!(
                "Too many wrong passwords: try again in {} s.",
                wait.as_secs() + 1
            )),
            _ => Ok(()),
        }
    }

    /// From the third on each one doubles the wait, up to a minute.
    pub(in super::super) fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        if let Some(more) = self.failures.checked_sub(FREE_ATTEMPTS) {
            let seconds = 1_u64 << more.min(6);
            self.not_before = now + Duration::from_secs(seconds).min(DELAY_MAX);
        }
    }
}

/// Whether the console is to lock itself.
pub(in super::super) fn is_idle(now: Duration, active_at: Duration) -> bool {
    now.saturating_sub(active_at) >= IDLE
}

pub(in super::super) fn form() -> Form {
    Form::new(
        "Locked",
        &["This console is locked."],
        vec![Field::secret(PASSWORD)],
        "Unlock",
    )
}

pub(in super::super) fn first_form() -> Form {
    Form::new(
        "First login",
        &[
            "This console has no password yet. Choose one: it is asked for from now on, here and on \
             the other lines of this machine.",
        ],
        vec![Field::secret(NEW), Field::secret(AGAIN)],
        "Set password",
    )
}

pub(in super::super) fn change_form(has_password: bool) -> Form {
    if !has_password {
        let mut form = first_form();
        form.title = "Change password";
        return form;
    }
    Form::new(
        "Change password",
        &["The password of this console."],
        vec![Field::secret(OLD), Field::secret(NEW), Field::secret(AGAIN)],
        "Set password",
    )
}

/// # Errors
/// What is wrong with the new password.
pub(in super::super) fn submit(form: &Form) -> Result<Command, String> {
    let (new, again) = (form.value(NEW), form.value(AGAIN));
    let asks_old = form.fields.iter().any(|field| field.label == OLD);
    let old = asks_old.then(|| form.value(OLD).to_owned());
    if new != again {
        return Err("The two new passwords differ.".to_owned());
    }
    if new.chars().count() < LENGTH_MIN {
        return Err(format!("The password needs {LENGTH_MIN} characters."));
    }
    if new.chars().count() > LENGTH_MAX {
        return Err(format!(
            "The password has more than {LENGTH_MAX} characters."
        ));
    }
    if old.as_deref() == Some(new) {
        return Err("The new password is the old one.".to_owned());
    }
    Ok(Command::SetPassword {
        old,
        new: new.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_cost_more_and_more_time() {
        let mut attempts = Attempts::default();
        let at = Duration::from_secs;
        for _ in 0..2 {
            attempts.failed(at(10));
            assert_eq!(attempts.allowed(at(10)), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..8 {
            attempts.failed(at(100));
            waits.push(attempts.not_before.as_secs() - 100);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(attempts.allowed(at(159)).unwrap_err().contains("in 2 s"));
        assert_eq!(attempts.allowed(at(160)), Ok(()));
    }

    #[test]
    fn a_new_password_is_checked_before_it_is_taken() {
        let filled = |old: &str, new: &str, again: &str| {
            let mut form = change_form(true);
            for (field, value) in form.fields.iter_mut().zip([old, new, again]) {
                field.value = value.to_owned();
            }
            submit(&form)
        };
        for (old, new, again, told) in [
            ("old secret", "new secret", "new secrets", "differ"),
            ("old secret", "short", "short", "8 characters"),
            (
                "same secret",
                "same secret",
                "same secret",
                "is the old one",
            ),
        ] {
            let problem = filled(old, new, again).unwrap_err();
            assert!(problem.contains(told), "{problem}");
        }
        let long = "a".repeat(LENGTH_MAX + 1);
        assert!(filled("", &long, &long).is_err());
        assert_eq!(
            filled("old secret", " with blanks ", " with blanks "),
            Ok(Command::SetPassword {
                old: Some("old secret".to_owned()),
                new: " with blanks ".to_owned()
            })
        );
    }
}
