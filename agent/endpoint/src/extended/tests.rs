use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

fn any_ace() -> impl Strategy<Value = Ace> {
    let who = prop_oneof![
        Just(b"OWNER@".to_vec()),
        Just(b"1000".to_vec()),
        vec(any::<u8>(), 0..40),
    ];
    (0u32..4, any::<u32>(), any::<u32>(), who).prop_map(|(kind, flags, mask, who)| Ace {
        kind: AceKind::of(kind).unwrap(),
        flags,
        mask,
        who,
    })
}

fn any_extended() -> impl Strategy<Value = ExtendedMetadata> {
    let acl = proptest::option::of(vec(any_ace(), 0..8).prop_map(Acl));
    let xattrs = btree_map(vec(any::<u8>(), 1..20), vec(any::<u8>(), 0..40), 0..6);
    (acl, xattrs).prop_map(|(acl, pairs)| {
        let mut xattrs = Xattrs::default();
        for (name, value) in pairs {
            assert!(xattrs.add(&name, &value));
        }
        ExtendedMetadata { acl, xattrs }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_fits_a_header(extended in any_extended()) {
        let pairs = extended.to_pairs();
        for (_, value) in &pairs {
            prop_assert!(!value.is_empty());
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{value}");
        }
        let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
        prop_assert_eq!(ExtendedMetadata::from_pairs(pairs).unwrap(), extended.clone());
        let json = serde_json::to_string(&extended).unwrap();
        prop_assert_eq!(serde_json::from_str::<ExtendedMetadata>(&json).unwrap(), extended);
    }

    #[test]
    fn no_text_makes_it_panic(text: String, acl in "[ADUL:fdg+0-9a-f@,%-]{0,40}", xattrs in "[a-z=,%A-Z/+]{0,40}") {
        for text in [&text, &acl, &xattrs] {
            if let Ok(acl) = text.parse::<Acl>() {
                prop_assert_eq!(acl.to_string().parse::<Acl>().unwrap(), acl);
            }
            if let Ok(xattrs) = text.parse::<Xattrs>() {
                prop_assert!(xattrs.size() <= XATTRS_SIZE_MAX);
            }
        }
    }

    #[test]
    fn what_is_kept_fits_and_nothing_is_left_out_without_need(extended in any_extended(), max in 0usize..600) {
        let others = [("file-owner", "0".to_owned())];
        let size = |some: &ExtendedMetadata| -> usize {
            let pairs = some.to_pairs();
            22 + pairs.iter().map(|(name, value)| 11 + name.len() + value.len()).sum::<usize>()
        };
        let (kept, left_out) = extended.clone().fitted(&others, max);
        match left_out {
            None => prop_assert_eq!(kept, extended),
            Some(whole) => {
                prop_assert_eq!(whole, size(&extended));
                prop_assert!(whole > max);
                prop_assert!(kept.is_empty() || size(&kept) <= max);
            }
        }
    }
}

#[test]
fn a_list_reads_as_nfs4_setfacl_writes_it() {
    let text = "A::OWNER@:rwatTcCy,A:fdg:1000:rx,D::anna@example.org:w,U:S:EVERYONE@:Ddo+800000";
    let acl: Acl = text.parse().unwrap();
    assert_eq!(acl.to_string(), text);
    assert_eq!((acl.0[1].flags, acl.0[1].mask), (0x43, 0x21));
    assert!(acl.0[1].is_of_group() && !acl.0[1].is_special());
    assert!(acl.0[0].is_special());
    assert_eq!(acl.0[3].mask, 0x89_0040);
    assert_eq!("-".parse(), Ok(Acl(Vec::new())));
    for wrong in [
        "",
        "A::OWNER@",
        "A::OWNER@:r:",
        "B::a:r",
        "A:q:a:r",
        "A::a:R",
        "A::a:+",
        "A::a:++1",
        "A::%4:r",
        "A::%+4:r",
        "A::ä:r",
        "A::a:r,",
    ] {
        assert!(wrong.parse::<Acl>().is_err(), "{wrong}");
    }
}

#[test]
fn lists_and_attributes_have_bounds() {
    let entry = "A::1:r";
    let most = vec![entry; ACES_MAX].join(",");
    assert!(most.parse::<Acl>().is_ok());
    assert!(format!("{most},{entry}").parse::<Acl>().is_err());
    let long = format!("A::{}:r", "x".repeat(WHO_MAX + 1));
    assert!(long.parse::<Acl>().is_err());
    let mut xattrs = Xattrs::default();
    assert!(!xattrs.add(b"", b"x") && !xattrs.add(&[b'n'; 256], b"x"));
    assert!(xattrs.add(b"big", &vec![0; XATTRS_SIZE_MAX - 10]));
    assert!(!xattrs.add(b"b", &[0; 10]), "too much");
    assert!(!xattrs.add(b"big", b""), "twice");
    let mut many = Xattrs::default();
    assert!((0..XATTRS_MAX).all(|number| many.add(number.to_string().as_bytes(), b"")));
    assert!(!many.add(b"more", b""));
    for wrong in ["a", "=AA==", "a=A", "a=AA==,a=AA==", "a=AA==,", "a b=AA=="] {
        assert!(wrong.parse::<Xattrs>().is_err(), "{wrong}");
    }
}

#[test]
fn a_list_stands_before_attributes_where_there_is_no_room_for_both() {
    let mut extended = ExtendedMetadata {
        acl: Some("A::OWNER@:rw".parse().unwrap()),
        xattrs: Xattrs::default(),
    };
    assert!(extended.xattrs.add(b"colour", &[b'x'; 300]));
    let (kept, whole) = extended.clone().fitted(&[], 400);
    assert!(kept.acl.is_some() && kept.xattrs.is_empty() && whole.unwrap() > 400);
    let (kept, _) = extended.clone().fitted(&[], 20);
    assert!(kept.is_empty());
    extended.acl = Some(Acl(vec![
        Ace {
            kind: AceKind::Allow,
            flags: 0,
            mask: 1,
            who: vec![b'x'; 900],
        };
        2
    ]));
    let (kept, _) = extended.fitted(&[], 500);
    assert!(kept.acl.is_none() && !kept.xattrs.is_empty());
}

#[test]
fn kinds_that_are_not_kept_are_left_out() {
    let mut extended = ExtendedMetadata {
        acl: Some(Acl::default()),
        xattrs: Xattrs::default(),
    };
    assert!(extended.xattrs.add(b"a", b"b"));
    let acls = ExtendedKinds {
        acls: true,
        xattrs: false,
    };
    let kept = extended.clone().only(acls);
    assert!(kept.acl.is_some() && kept.xattrs.is_empty());
    assert!(extended.only(ExtendedKinds::default()).is_empty());
}
