//! Seeds that VMware keeps: the program asks `vmware-rpctool`, which answers here as that of
//! open-vm-tools does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{FINGERPRINT, command, said};

/// A machine below a scratch directory.
struct Machine {
    scratch: tempfile::TempDir,
}

impl Machine {
    fn of(vendor: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        for directory in ["root/etc/datasync", "root/sys/class/dmi/id", "bin"] {
            fs::create_dir_all(scratch.path().join(directory)).unwrap();
        }
        let file = scratch.path().join("root/sys/class/dmi/id/sys_vendor");
        fs::write(file, format!("{vendor}\n")).unwrap();
        Self { scratch }
    }

    /// Gives it the tool, as a script. Another process writes it: one that is open for writing somewhere
    /// cannot be executed.
    fn tool(self, script: &str) -> Self {
        let source = self.scratch.path().join("script");
        fs::write(&source, format!("#!/bin/sh\n{script}\n")).unwrap();
        let installed = Command::new("install")
            .args(["-m", "755"])
            .args([source, self.scratch.path().join("bin/vmware-rpctool")])
            .status();
        assert!(installed.unwrap().success());
        self
    }

    fn boot(&self) -> (i32, String) {
        let path = format!(
            "{}:/usr/bin:/bin",
            self.scratch.path().join("bin").display()
        );
        let mut program = command(&["firstboot", "--root"]);
        program.arg(self.root()).env("PATH", path);
        said(program.output().unwrap())
    }

    fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    fn configuration(&self) -> Option<String> {
        fs::read_to_string(self.root().join("etc/datasync/agent.toml")).ok()
    }
}

fn environment() -> String {
    format!(
        "cat <<'END'\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Environment xmlns=\"http://schemas.dmtf.org/ovf/environment/1\" \
         xmlns:oe=\"http://schemas.dmtf.org/ovf/environment/1\"><PropertySection>\n\
         <Property oe:key=\"control\" oe:value=\"control.example:9443\"/>\n\
         <Property oe:key=\"control_fingerprint\" oe:value=\"{FINGERPRINT}\"/>\n\
         </PropertySection></Environment>\nEND"
    )
}

#[test]
fn the_environment_of_a_machine_of_vmware_is_carried_out_once() {
    let asked = "[ \"$*\" = 'info-get guestinfo.ovfEnv' ] || exit 9\n";
    let machine = Machine::of("VMware, Inc.").tool(&format!("{asked}{}", environment()));
    let (code, text) = machine.boot();
    assert_eq!((code, text.contains("is carried out")), (0, true), "{text}");
    let written = machine.configuration().unwrap();
    assert!(written.contains("control.example:9443"), "{written}");
    let (code, text) = machine.boot();
    assert_eq!((code, text.contains("before")), (0, true), "{text}");
}

#[test]
fn what_is_not_set_is_no_seed() {
    let unset = "echo 'No value found' >&2; exit 1";
    let machines = [
        Machine::of("VMware, Inc.").tool(unset),
        Machine::of("VMware, Inc.").tool("echo"),
        // Without the tools.
        Machine::of("VMware, Inc."),
        Machine::of("QEMU").tool(&environment()),
    ];
    for machine in machines {
        assert_eq!(machine.boot(), (0, "there is no seed\n".to_owned()));
        assert_eq!(machine.configuration(), None);
    }
}

#[test]
fn what_cannot_be_had_is_told() {
    for (script, told) in [
        ("exec cat /dev/zero", "longer than"),
        ("printf '\\377'", "UTF-8"),
        ("kill -SEGV $$", "vmware-rpctool"),
        ("echo '<Environment>'", "ends in its middle"),
    ] {
        let machine = Machine::of("VMware, Inc.").tool(script);
        let (code, text) = machine.boot();
        assert_ne!(code, 0, "{text}");
        assert!(
            text.contains("guestinfo.ovfEnv") && text.contains(told),
            "{text}"
        );
        let faults = machine.root().join("etc/datasync/seed-faults");
        assert!(fs::read_to_string(faults).unwrap().contains(told));
    }
}
