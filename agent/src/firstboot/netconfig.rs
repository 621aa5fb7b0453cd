//! `network-config` of a NoCloud seed, versions 1 and 2: one interface with one address or DHCP, which
//! is what the appliance has. What it cannot do is refused rather than left out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::seed::{Interface, list};
use super::yaml::Node;

/// What the document says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) interface: Interface,
    pub(super) dns: Vec<String>,
}

type Map = BTreeMap<String, Node>;

/// # Errors
/// The first thing in it that the appliance cannot do.
pub(super) fn read(document: Node) -> Result<Network, String> {
    let told = |what: String| format!("network-config: {what}");
    let mut map = document.into_map("the whole").map_err(told)?;
    // As in netplan's own files.
    if let Some(inner) = map.remove("network") {
        map = inner.into_map("network").map_err(told)?;
    }
    let version = text(&mut map, "version").map_err(told)?;
    match version.as_deref() {
        Some("2") => second(map).map_err(told),
        Some("1") => first(map).map_err(told),
        _ => Err(told("version must be 1 or 2".to_owned())),
    }
}

fn second(mut map: Map) -> Result<Network, String> {
    let ethernets = map.remove("ethernets").unwrap_or(Node::Null);
    map.remove("renderer");
    nothing_else(&map, "")?;
    let mut ethernets = ethernets.into_map("ethernets")?.into_iter();
    let (Some((id, one)), None) = (ethernets.next(), ethernets.next()) else {
        return Err("ethernets: must have one interface".to_owned());
    };
    let mut one = one.into_map(&id)?;
    let mut network = Network::default();
    match one.remove("match") {
        None => network.interface.name = Some(id),
        Some(found) => {
            let mut found = found.into_map("match")?;
            network.interface.name = text(&mut found, "name")?;
            network.interface.mac = text(&mut found, "macaddress")?;
            nothing_else(&found, "match: ")?;
        }
    }
    for harmless in [
        "set-name",
        "dhcp6",
        "optional",
        "critical",
        "dhcp-identifier",
    ] {
        one.remove(harmless);
    }
    let dhcp = text(&mut one, "dhcp4")?;
    let addresses = joined(&mut one, "addresses")?;
    network.interface.address = single(addresses, dhcp.as_deref() == Some("true"))?;
    let mut gateways: Vec<String> = ["gateway4", "gateway6"]
        .into_iter()
        .filter_map(|name| text(&mut one, name).transpose())
        .collect::<Result<_, _>>()?;
    for route in one
        .remove("routes")
        .unwrap_or(Node::Null)
        .into_list("routes")?
    {
        gateways.push(default_route(route)?);
    }
    network.interface.gateway = gateway(gateways)?;
    if let Some(servers) = one.remove("nameservers") {
        let mut servers = servers.into_map("nameservers")?;
        network.dns = joined(&mut servers, "addresses")?;
        servers.remove("search");
        nothing_else(&servers, "nameservers: ")?;
    }
    nothing_else(&one, "")?;
    Ok(network)
}

fn default_route(route: Node) -> Result<String, String> {
    let mut route = route.into_map("routes")?;
    let to = text(&mut route, "to")?.unwrap_or_default();
    let via = text(&mut route, "via")?;
    nothing_else(&route, "routes: ")?;
    match via {
        Some(via) if ["default", "0.0.0.0/0", "::/0"].contains(&to.as_str()) => Ok(via),
        _ => Err("routes: only the default route can be set".to_owned()),
    }
}

fn first(mut map: Map) -> Result<Network, String> {
    let mut network = Network::default();
    let mut physical = 0;
    for item in map
        .remove("config")
        .unwrap_or(Node::Null)
        .into_list("config")?
    {
        let mut item = item.into_map("config")?;
        match text(&mut item, "type")?.as_deref() {
            Some("physical") => {
                physical += 1;
                first_physical(item, &mut network)?;
            }
            Some("nameserver") => network.dns.extend(joined(&mut item, "address")?),
            other => {
                let other = other.unwrap_or("nothing");
                return Err(format!(
                    "config: type {other}: cannot be set on the appliance"
                ));
            }
        }
    }
    nothing_else(&map, "")?;
    if physical == 1 {
        Ok(network)
    } else {
        Err("config: must have one physical interface".to_owned())
    }
}

fn first_physical(mut item: Map, network: &mut Network) -> Result<(), String> {
    network.interface.name = text(&mut item, "name")?;
    network.interface.mac = text(&mut item, "mac_address")?;
    if network.interface.mac.is_some() {
        // It is the name to give, where an address says which one it is.
        network.interface.name = None;
    }
    let mut subnets = item
        .remove("subnets")
        .unwrap_or(Node::Null)
        .into_list("subnets")?
        .into_iter();
    nothing_else(&item, "")?;
    let Some(subnet) = subnets.next() else {
        return Ok(());
    };
    let mut subnet = subnet.into_map("subnets")?;
    let kind = text(&mut subnet, "type")?.unwrap_or_default();
    let address = text(&mut subnet, "address")?;
    let netmask = text(&mut subnet, "netmask")?;
    network.interface.gateway = text(&mut subnet, "gateway")?;
    network.dns.extend(joined(&mut subnet, "dns_nameservers")?);
    subnet.remove("dns_search");
    nothing_else(&subnet, "subnets: ")?;
    match kind.as_str() {
        "dhcp" | "dhcp4" => {}
        "static" | "static6" => {
            let address = address.ok_or("subnets: static and without an address")?;
            network.interface.address = Some(with_prefix(address, netmask.as_deref())?);
        }
        _ => {
            return Err(format!(
                "subnets: type {kind}: cannot be set on the appliance"
            ));
        }
    }
    // Of the second family; the appliance has one address besides those that routers announce.
    for subnet in subnets {
        let kind = text(&mut subnet.into_map("subnets")?, "type")?.unwrap_or_default();
        if !kind.starts_with("dhcp6") && !kind.starts_with("ipv6_") {
            return Err("subnets: more than one address".to_owned());
        }
    }
    Ok(())
}

fn with_prefix(address: String, netmask: Option<&str>) -> Result<String, String> {
    let Some(netmask) = netmask.filter(|_| !address.contains('/')) else {
        return Ok(address);
    };
    let bits = netmask.parse::<Ipv4Addr>().map(u32::from);
    match bits {
        Ok(bits) if bits.leading_ones() + bits.trailing_zeros() == u32::BITS => {
            Ok(format!("{address}/{}", bits.leading_ones()))
        }
        _ => Err("subnets: netmask: must be like 255.255.255.0".to_owned()),
    }
}

fn single(mut addresses: Vec<String>, dhcp: bool) -> Result<Option<String>, String> {
    match (addresses.pop(), dhcp) {
        (Some(_), true) => Err("addresses: an address and DHCP".to_owned()),
        (Some(_), false) if !addresses.is_empty() => Err("addresses: more than one".to_owned()),
        (address, _) => Ok(address),
    }
}

fn gateway(mut gateways: Vec<String>) -> Result<Option<String>, String> {
    let gateway = gateways.pop();
    if !gateways.is_empty() {
        return Err("more than one gateway".to_owned());
    }
    match gateway {
        Some(text) if text.parse::<IpAddr>().is_err() => {
            Err("the gateway is not an IP address".to_owned())
        }
        gateway => Ok(gateway),
    }
}

fn text(map: &mut Map, name: &str) -> Result<Option<String>, String> {
    let text = map
        .remove(name)
        .map(|node| node.into_text(name))
        .transpose()?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn joined(map: &mut Map, name: &str) -> Result<Vec<String>, String> {
    let joined = map
        .remove(name)
        .map(|node| node.into_joined(name))
        .transpose()?;
    Ok(list(&joined.unwrap_or_default()))
}

fn nothing_else(map: &Map, place: &str) -> Result<(), String> {
    match map.keys().next() {
        Some(name) => Err(format!("{place}{name}: cannot be set on the appliance")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Result<Network, String> {
        read(Node::parse(text).unwrap())
    }

    fn expected() -> Network {
        Network {
            interface: Interface {
                name: Some("eth0".to_owned()),
                mac: None,
                address: Some("192.0.2.10/24".to_owned()),
                gateway: Some("192.0.2.1".to_owned()),
            },
            dns: vec!["192.0.2.53".to_owned(), "192.0.2.54".to_owned()],
        }
    }

    #[test]
    fn the_same_network_in_every_form() {
        for text in [
            "version: 2\nethernets:\n  eth0:\n    addresses: [192.0.2.10/24]\n    gateway4: 192.0.2.1\n    \
             nameservers: {addresses: [192.0.2.53, 192.0.2.54], search: [x]}\n",
            "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    id0:\n      match: {name: eth0}\n      \
             dhcp4: false\n      addresses:\n      - 192.0.2.10/24\n      routes:\n      - {to: default, via: 192.0.2.1}\n      \
             nameservers:\n        addresses: [192.0.2.53, 192.0.2.54]\n",
            "version: 1\nconfig:\n- type: physical\n  name: eth0\n  subnets:\n  - {type: static, address: 192.0.2.10, \
             netmask: 255.255.255.0, gateway: 192.0.2.1}\n- type: nameserver\n  address: [192.0.2.53, 192.0.2.54]\n",
        ] {
            assert_eq!(given(text), Ok(expected()), "{text}");
        }
    }

    #[test]
    fn dhcp_and_an_interface_by_its_address() {
        let mac = "52:54:00:12:34:56";
        let wanted = Network {
            interface: Interface {
                mac: Some(mac.to_owned()),
                ..Interface::default()
            },
            dns: Vec::new(),
        };
        for text in [
            format!(
                "version: 2\nethernets: {{a: {{match: {{macaddress: '{mac}'}}, set-name: lan, dhcp4: true}}}}\n"
            ),
            format!(
                "version: 1\nconfig: [{{type: physical, name: eth0, mac_address: '{mac}', subnets: [{{type: dhcp}}]}}]\n"
            ),
        ] {
            assert_eq!(given(&text), Ok(wanted.clone()), "{text}");
        }
    }

    #[test]
    fn what_the_appliance_cannot_do_is_refused() {
        for (text, told) in [
            ("version: 2\nbonds: {}\n", "bonds: cannot"),
            ("version: 2\nethernets: {}\n", "one interface"),
            ("version: 2\nethernets: {a: {}, b: {}}\n", "one interface"),
            ("version: 2\nethernets: {a: {mtu: 9000}}\n", "mtu: cannot"),
            (
                "version: 2\nethernets: {a: {addresses: [192.0.2.1/24, 192.0.2.2/24]}}\n",
                "more than one",
            ),
            (
                "version: 2\nethernets: {a: {addresses: [192.0.2.1/24], dhcp4: true}}\n",
                "DHCP",
            ),
            (
                "version: 2\nethernets: {a: {routes: [{to: 10.0.0.0/8, via: 192.0.2.1}]}}\n",
                "default route",
            ),
            ("version: 1\nconfig: [{type: vlan}]\n", "vlan"),
            ("version: 1\nconfig: []\n", "one physical"),
            (
                "version: 1\nconfig: [{type: physical, name: a, subnets: [{type: static, address: 192.0.2.1, netmask: 255.0.255.0}]}]\n",
                "netmask",
            ),
            ("[]", "mapping"),
        ] {
            let error = given(text).unwrap_err();
            assert!(
                error.starts_with("network-config: ") && error.contains(told),
                "{error}"
            );
        }
    }
}
