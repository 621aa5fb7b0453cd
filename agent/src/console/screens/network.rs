//! The machine's network, where the console configures it.

use super::super::command::Command;
use super::super::form::{Field, Form, Kind};
use crate::appliance::{ADDRESS, DNS, GATEWAY, INTERFACE, NO_PROXY, NetworkSettings, PROXY, TIME};

const MODE: &str = "Addresses";
const MODES: &[&str] = &["DHCP", "static"];
const USER: &str = "Proxy user";
const PASSWORD: &str = "Proxy password";

pub(in super::super) fn form(settings: &NetworkSettings) -> Form {
    let mut password = Field::secret(PASSWORD);
    password.value.clone_from(&settings.proxy_password);
    Form::new(
        "Network configuration",
        &["Servers are separated by commas. Empty: what DHCP says, or none."],
        vec![
            Field::text(INTERFACE, settings.interface.as_str()),
            Field::new(
                MODE,
                Kind::Choice(MODES),
                MODES[usize::from(settings.is_static)],
            ),
            Field::text(ADDRESS, settings.address.as_str()),
            Field::text(GATEWAY, settings.gateway.as_str()),
            Field::text(DNS, settings.dns.join(", ")),
            Field::text(TIME, settings.time.join(", ")),
            Field::text(PROXY, settings.proxy.as_str()),
            Field::text(USER, settings.proxy_user.as_str()),
            password,
            Field::text(NO_PROXY, settings.no_proxy.as_str()),
        ],
        "Apply",
    )
}

/// # Errors
/// What is wrong with the first field that is wrong.
pub(in super::super) fn submit(form: &Form) -> Result<Command, String> {
    let text = |label: &str| form.value(label).to_owned();
    let settings = NetworkSettings {
        interface: text(INTERFACE),
        is_static: form.value(MODE) == MODES[1],
        address: text(ADDRESS),
        gateway: text(GATEWAY),
        dns: list(form.value(DNS)),
        time: list(form.value(TIME)),
        proxy: text(PROXY),
        proxy_user: text(USER),
        proxy_password: text(PASSWORD),
        no_proxy: text(NO_PROXY),
    };
    settings.check()?;
    Ok(Command::ApplyNetwork(Box::new(settings)))
}

fn list(text: &str) -> Vec<String> {
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance::good;

    #[test]
    fn the_form_gives_back_what_it_was_given() {
        let taken = submit(&form(&good()));
        assert_eq!(taken, Ok(Command::ApplyNetwork(Box::new(good()))));
        let url = good().proxy_url().unwrap();
        assert_eq!(url, "http://me%40x:p%2Fw%20d@proxy.example:3128");
        assert!(!format!("{:?}", good()).contains("p/w d"));
    }
}
