//! The environment document of OVF (DSP8027): the properties that were filled in when the appliance
//! was deployed.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::seed::{Properties, Seed};

/// Properties of one machine.
const PROPERTIES_MAX: usize = 100;
const DEPTH_MAX: usize = 16;

/// What it says, or everything that is wrong with it.
pub(super) fn read(document: &str) -> Result<Seed, Vec<String>> {
    let properties =
        properties(document).map_err(|what| vec![format!("OVF environment: {what}")])?;
    let mut faults = Vec::new();
    let seed = Seed::read(properties, &mut faults);
    if faults.is_empty() {
        Ok(seed)
    } else {
        Err(faults)
    }
}

/// Those of this machine: those of others in the same vApp are below `Entity`.
pub(super) fn properties(document: &str) -> Result<Properties, String> {
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    let mut found = Properties::new();
    let mut open: Vec<Vec<u8>> = Vec::new();
    loop {
        let event = reader.read_event().map_err(|_| "not XML".to_owned())?;
        match event {
            Event::Start(start) => {
                let names: Vec<&[u8]> = open.iter().map(Vec::as_slice).collect();
                let name = start.local_name().into_inner().to_vec();
                if names == [b"Environment".as_slice(), b"PropertySection"] && name == b"Property" {
                    let (key, value) = property(&start)?;
                    found.insert(key, value);
                    if found.len() > PROPERTIES_MAX {
                        return Err(format!("more than {PROPERTIES_MAX} properties"));
                    }
                }
                open.push(name);
                if open.len() > DEPTH_MAX {
                    return Err("nested too deeply".to_owned());
                }
            }
            Event::End(_) => {
                open.pop();
            }
            Event::DocType(_) => return Err("has a document type".to_owned()),
            Event::Eof if open.is_empty() => return Ok(found),
            Event::Eof => return Err("ends in its middle".to_owned()),
            _ => {}
        }
    }
}

fn property(start: &BytesStart<'_>) -> Result<(String, String), String> {
    let bad = "has a property that cannot be read".to_owned();
    let (mut key, mut value) = (None, None);
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| bad.clone())?;
        let text = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map_err(|_| bad.clone())?
            .into_owned();
        match attribute.key.local_name().into_inner() {
            b"key" => key = Some(text),
            b"value" => value = Some(text),
            _ => {}
        }
    }
    match key {
        Some(key) => Ok((key.replace('-', "_"), value.unwrap_or_default())),
        None => Err(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::super::seed::tests::{pem, properties as expected};
    use super::*;

    fn environment(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Environment \
             xmlns=\"http://schemas.dmtf.org/ovf/environment/1\" \
             xmlns:oe=\"http://schemas.dmtf.org/ovf/environment/1\" oe:id=\"\">\n\
             <PlatformSection><Kind>VMware ESXi</Kind></PlatformSection>\n{inner}\n</Environment>\n"
        )
    }

    #[test]
    fn the_properties_of_this_machine_and_of_no_other() {
        let pem = pem();
        let document = environment(&format!(
            "<PropertySection><Property oe:key=\"control\" oe:value=\"control:9443\"/>\
             <Property oe:key=\"control_ca\" oe:value=\"{}\"></Property>\
             <Property oe:key=\"name\" oe:value=\"a &amp; b\"/>\
             <Property oe:key=\"dns\" oe:value=\"\"/></PropertySection>\
             <Entity oe:id=\"other\"><PropertySection>\
             <Property oe:key=\"hostname\" oe:value=\"other\"/></PropertySection></Entity>",
            pem.replace('\n', "&#10;")
        ));
        let seed = read(&document).unwrap();
        assert_eq!(
            seed.agent,
            expected(&[("control", "control:9443"), ("name", "a & b")])
        );
        assert_eq!(seed.control_ca, Some(pem));
        assert_eq!(seed.hostname, None);
        assert_eq!(seed.dns, Vec::<String>::new());
    }

    #[test]
    fn what_is_no_environment_is_refused() {
        let many = "<Property key=\"a\" value=\"b\"/>".repeat(2);
        let too_many: String = (0..=PROPERTIES_MAX)
            .map(|number| format!("<Property key=\"k{number}\" value=\"\"/>"))
            .collect();
        for (document, told) in [
            ("nonsense <".to_owned(), "not XML"),
            ("<Environment>".to_owned(), "ends in its middle"),
            (
                "<!DOCTYPE x [<!ENTITY a \"b\">]><Environment/>".to_owned(),
                "document type",
            ),
            ("<a>".repeat(DEPTH_MAX + 1), "deeply"),
            (
                environment(&format!("<PropertySection>{too_many}</PropertySection>")),
                "more than",
            ),
            (
                environment("<PropertySection><Property value=\"x\"/></PropertySection>"),
                "cannot be read",
            ),
        ] {
            let faults = read(&document).unwrap_err();
            assert!(faults[0].contains(told), "{faults:?}");
        }
        assert!(
            read(&environment(&format!(
                "<PropertySection>{many}</PropertySection>"
            )))
            .is_ok()
        );
    }
}
