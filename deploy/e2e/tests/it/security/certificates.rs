//! Keys, certificates and stores for one test, made by openssl and by the JDK's keytool.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Opens every store and key that has a password.
pub(super) const PASSWORD: &str = "store-s3cret";

/// A folder with:
/// - `ca.pem`, `ca.p12`, `ca.jks`: whom to trust; `stranger.pem`: another authority.
/// - `server.pem`: the broker's key, its certificate for 127.0.0.1 and nothing else, and the authority's.
/// - `client.key`, `client.crt`, `client.pem` (both, the key encrypted), `client.p12`: a client, `CN=ferry-client`.
pub(super) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub(super) fn make() -> Result<Self> {
        let made = Self { folder: TempDir::with_prefix("ferry-certificates-")? };
        for name in ["ca", "stranger"] {
            let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
            made.openssl(&[
                &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
                &["-keyout", &key, "-out", &certificate, "-subj", &subject],
            ])?;
        }
        made.issue("server", "/CN=broker", "subjectAltName=IP:127.0.0.1")?;
        made.issue("client", "/CN=ferry-client", "extendedKeyUsage=clientAuth")?;
        made.join("server.pem", &["server.key", "server.crt", "ca.pem"])?;

        let password = format!("pass:{PASSWORD}");
        made.openssl(&[
            &["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", &password],
            &["-in", "client.key", "-out", "client-encrypted.key"],
        ])?;
        made.join("client.pem", &["client-encrypted.key", "client.crt"])?;
        made.openssl(&[
            &["pkcs12", "-export", "-passout", &password, "-certfile", "ca.pem"],
            &["-inkey", "client.key", "-in", "client.crt", "-out", "client.p12"],
        ])?;
        for (store, kind) in [("ca.p12", "PKCS12"), ("ca.jks", "JKS")] {
            made.run(
                "keytool",
                &[
                    &["-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem"],
                    &["-keystore", store, "-storetype", kind, "-storepass", PASSWORD],
                ],
            )?;
        }
        Ok(made)
    }

    /// A file's path.
    pub(super) fn path(&self, name: &str) -> String {
        self.file(name).to_string_lossy().into_owned()
    }

    /// A file's text.
    pub(super) fn text(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.file(name)).context(name.to_owned())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, name: &str, subject: &str, extension: &str) -> Result<()> {
        let file = |ending: &str| format!("{name}.{ending}");
        self.openssl(&[
            &["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", subject],
            &["-keyout", &file("key"), "-out", &file("csr")],
        ])?;
        fs::write(self.file(&file("ext")), extension)?;
        self.openssl(&[
            &["x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
            &["-extfile", &file("ext"), "-in", &file("csr"), "-out", &file("crt")],
        ])
    }

    fn join(&self, name: &str, parts: &[&str]) -> Result<()> {
        let text: Result<String> = parts.iter().map(|part| self.text(part)).collect();
        Ok(fs::write(self.file(name), text?)?)
    }

    fn openssl(&self, args: &[&[&str]]) -> Result<()> {
        self.run("openssl", args)
    }

    fn run(&self, program: &str, args: &[&[&str]]) -> Result<()> {
        let output = Command::new(program).args(args.concat()).current_dir(self.folder.path()).output();
        let output = output.with_context(|| format!("starting {program}"))?;
        ensure!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}
