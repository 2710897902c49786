//! Encryption and login: `ssl.*` and `sasl.*`, where several keys make one setting. Pure: stores are only named here.

use std::path::PathBuf;

use super::jaas::{self, LoginModule};
use super::pem::{self, Block};
use super::{ClientConfig, Translated};
use crate::BrokerError;

/// A key or trust store to be read when the client is made.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Store {
    /// Where it is.
    pub location: PathBuf,
    /// What opens it.
    pub password: Option<String>,
}

/// The stores that a client needs.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Stores {
    /// `ssl.truststore.location`.
    pub trust: Option<Store>,
    /// `ssl.keystore.location`.
    pub key: Option<Store>,
}

const OIDC: &str = "sasl.oauthbearer.token.endpoint.url";

/// Settles what the protocol asks for; the keys of another protocol have no effect.
pub(super) fn settle(config: &ClientConfig, out: &mut Translated) -> Result<(), BrokerError> {
    let protocol = value(config, "security.protocol").unwrap_or_default().to_ascii_uppercase();
    if protocol.ends_with("SSL") {
        encryption(config, out)?;
    }
    if protocol.starts_with("SASL_") {
        login(config, out)?;
    }
    for (key, _) in config.iter() {
        let is_for = |prefix: &str, is_used: bool| key.starts_with(prefix) && !is_used;
        if is_for("ssl.", protocol.ends_with("SSL")) || is_for("sasl.", protocol.starts_with("SASL_")) {
            out.ignored.push((key.to_owned(), "security.protocol does not use it"));
        }
    }
    Ok(())
}

/// A value that is there and not blank.
fn value<'a>(config: &'a ClientConfig, key: &str) -> Option<&'a str> {
    config.get(key).map(str::trim).filter(|value| !value.is_empty())
}

fn refuse<T>(key: &str, reason: impl Into<String>) -> Result<T, BrokerError> {
    Err(BrokerError::Config { key: key.to_owned(), reason: reason.into() })
}

fn encryption(config: &ClientConfig, out: &mut Translated) -> Result<(), BrokerError> {
    if let Some(algorithm) = config.get("ssl.endpoint.identification.algorithm") {
        let algorithm = match algorithm.trim().to_ascii_lowercase().as_str() {
            "" => "none",
            "https" => "https",
            _ => {
                return refuse(
                    "ssl.endpoint.identification.algorithm",
                    "must be https, or empty for no check of names",
                );
            }
        };
        out.put("ssl.endpoint.identification.algorithm", algorithm.to_owned(), "ssl.endpoint.identification.algorithm");
    }
    if let Some(suites) = value(config, "ssl.cipher.suites") {
        let suites: Vec<String> = suites.split(',').map(str::trim).filter_map(openssl_cipher).collect();
        match suites.is_empty() {
            true => out.ignored.push(("ssl.cipher.suites".to_owned(), "suites of TLS 1.3 are all on")),
            false => out.put("ssl.cipher.suites", suites.join(":"), "ssl.cipher.suites"),
        }
    }
    for kind in ["truststore", "keystore"] {
        let key = format!("ssl.{kind}.type");
        let store = value(config, &key).unwrap_or("JKS").to_ascii_uppercase();
        if !["PEM", "PKCS12", "JKS"].contains(&store.as_str()) {
            return refuse(&key, format!("{store} stores cannot be read: use PEM or PKCS12"));
        }
    }
    trust(config, out)?;
    identity(config, out)
}

fn store(config: &ClientConfig, kind: &str) -> Option<Store> {
    let location = value(config, &format!("ssl.{kind}.location"))?.into();
    // Blanks may be part of a password.
    let password = config.get(&format!("ssl.{kind}.password")).filter(|password| !password.is_empty());
    Some(Store { location, password: password.map(str::to_owned) })
}

fn trust(config: &ClientConfig, out: &mut Translated) -> Result<(), BrokerError> {
    const CERTIFICATES: &str = "ssl.truststore.certificates";
    out.stores.trust = store(config, "truststore");
    let Some(certificates) = value(config, CERTIFICATES) else { return Ok(()) };
    if out.stores.trust.is_some() {
        return refuse(CERTIFICATES, "is given beside ssl.truststore.location: give one of them");
    }
    out.put("ssl.ca.pem", pem_of(CERTIFICATES, certificates, "certificate", Block::is_certificate)?, CERTIFICATES);
    Ok(())
}

fn identity(config: &ClientConfig, out: &mut Translated) -> Result<(), BrokerError> {
    const KEY: &str = "ssl.keystore.key";
    const CHAIN: &str = "ssl.keystore.certificate.chain";
    out.stores.key = store(config, "keystore");
    if let Some(password) = config.get("ssl.key.password").filter(|password| !password.is_empty()) {
        out.put("ssl.key.password", password.to_owned(), "ssl.key.password");
    }
    match (value(config, KEY), value(config, CHAIN)) {
        (None, None) => Ok(()),
        (Some(_), None) => refuse(KEY, format!("needs {CHAIN} beside it")),
        (None, Some(_)) => refuse(CHAIN, format!("needs {KEY} beside it")),
        (Some(_), Some(_)) if out.stores.key.is_some() => {
            refuse(KEY, "is given beside ssl.keystore.location: give one of them")
        }
        (Some(key), Some(chain)) => {
            out.put("ssl.key.pem", pem_of(KEY, key, "private key", Block::is_key)?, KEY);
            out.put("ssl.certificate.pem", pem_of(CHAIN, chain, "certificate", Block::is_certificate)?, CHAIN);
            Ok(())
        }
    }
}

fn pem_of(key: &str, text: &str, what: &str, is_wanted: fn(&Block) -> bool) -> Result<String, BrokerError> {
    let found = pem::blocks(text).and_then(|blocks| pem::only(&blocks, what, is_wanted));
    found.or_else(|reason| refuse(key, reason))
}

/// OpenSSL's name of a cipher suite; none for suites of TLS 1.3, which OpenSSL lists apart.
fn openssl_cipher(name: &str) -> Option<String> {
    let Some(name) = name.strip_prefix("TLS_") else { return (!name.is_empty()).then(|| name.to_owned()) };
    let (exchange, cipher) = name.split_once("_WITH_")?;
    let exchange = match exchange {
        "RSA" => String::new(),
        other => format!("{}-", other.replace('_', "-")),
    };
    let cipher =
        cipher.strip_suffix("_POLY1305_SHA256").map_or_else(|| cipher.to_owned(), |name| format!("{name}_POLY1305"));
    let cipher = cipher.replace("AES_128_CBC", "AES128").replace("AES_256_CBC", "AES256");
    let cipher = cipher.replace("AES_128", "AES128").replace("AES_256", "AES256").replace('_', "-");
    Some(exchange + &cipher)
}

fn login(config: &ClientConfig, out: &mut Translated) -> Result<(), BrokerError> {
    const JAAS: &str = "sasl.jaas.config";
    let mechanism = value(config, "sasl.mechanism").unwrap_or("GSSAPI").to_ascii_uppercase();
    if !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"].contains(&mechanism.as_str()) {
        let reason = format!(
            "{mechanism}{} is not built in: use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
            if value(config, "sasl.mechanism").is_none() { " (Kafka's default)" } else { "" }
        );
        return refuse("sasl.mechanism", reason);
    }
    out.put("sasl.mechanism", mechanism.clone(), "sasl.mechanism");
    // Credentials may be given in librdkafka's own words too.
    let Some(text) = value(config, JAAS) else {
        return match () {
            () if mechanism == "OAUTHBEARER" => {
                bearer(config, &LoginModule { class: String::new(), options: Default::default() }, out)
            }
            () if config.get("librdkafka.sasl.username").is_some() => Ok(()),
            () => refuse(JAAS, format!("is missing: {mechanism} needs a login module with username and password")),
        };
    };
    let module = jaas::parse(text).or_else(|reason| refuse(JAAS, reason))?;
    match (module.class.as_str(), mechanism.as_str()) {
        ("OAuthBearerLoginModule", "OAUTHBEARER") => bearer(config, &module, out),
        ("PlainLoginModule" | "ScramLoginModule", mechanism) if mechanism != "OAUTHBEARER" => {
            if module.options.get("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
                return refuse(JAAS, "tokenauth: delegation tokens cannot be used: give username and password");
            }
            let option = |name: &str| match module.options.get(name) {
                Some(value) => Ok(value.clone()),
                None => refuse(JAAS, format!("{} needs {name}=\"...\"", module.class)),
            };
            out.put("sasl.username", option("username")?, JAAS);
            out.put("sasl.password", option("password")?, JAAS);
            Ok(())
        }
        (class, mechanism) => refuse(
            JAAS,
            format!(
                "{class} cannot be used with sasl.mechanism {mechanism}; there are PlainLoginModule, ScramLoginModule \
                 and, for OAUTHBEARER, OAuthBearerLoginModule"
            ),
        ),
    }
}

/// OAUTHBEARER: tokens from an endpoint where one is named, else unsecured ones, as Kafka makes them for tests.
fn bearer(config: &ClientConfig, module: &LoginModule, out: &mut Translated) -> Result<(), BrokerError> {
    const HANDLER: &str = "sasl.login.callback.handler.class";
    let handler = value(config, HANDLER).and_then(|class| class.rsplit('.').next());
    match (handler, value(config, OIDC)) {
        (None | Some("OAuthBearerLoginCallbackHandler"), Some(url)) if !url.starts_with("file:") => {
            endpoint(config, module, url, out)
        }
        (_, Some(_)) if handler.is_none() => refuse(OIDC, "tokens cannot be read from files: give an https endpoint"),
        (None | Some("OAuthBearerUnsecuredLoginCallbackHandler"), None) => {
            unsecured(module, out);
            Ok(())
        }
        (Some("OAuthBearerLoginCallbackHandler"), None) => refuse(OIDC, "is missing"),
        (Some(class), _) => {
            refuse(HANDLER, format!("Java's {class} cannot run here: use OAuthBearerLoginCallbackHandler"))
        }
        (None, Some(_)) => refuse(OIDC, "cannot be used"),
    }
}

fn endpoint(config: &ClientConfig, module: &LoginModule, url: &str, out: &mut Translated) -> Result<(), BrokerError> {
    const RETRIEVER: &str = "sasl.oauthbearer.jwt.retriever.class";
    out.put("sasl.oauthbearer.method", "oidc".to_owned(), OIDC);
    out.put(OIDC, url.to_owned(), OIDC);
    let is_assertion = match value(config, RETRIEVER).and_then(|class| class.rsplit('.').next()) {
        None | Some("DefaultJwtRetriever" | "ClientCredentialsJwtRetriever") => false,
        Some("JwtBearerJwtRetriever") => true,
        Some(class) => {
            return refuse(
                RETRIEVER,
                format!("Java's {class} cannot run here: use ClientCredentialsJwtRetriever or JwtBearerJwtRetriever"),
            );
        }
    };
    if is_assertion {
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned();
        out.put("sasl.oauthbearer.grant.type", grant, RETRIEVER);
    }
    for (key, name, option) in [
        ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id", "clientId"),
        ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret", "clientSecret"),
        ("sasl.oauthbearer.scope", "sasl.oauthbearer.scope", "scope"),
    ] {
        match (value(config, key), module.options.get(option)) {
            (Some(value), _) => out.put(name, value.to_owned(), key),
            (None, Some(value)) => out.put(name, value.clone(), "sasl.jaas.config"),
            (None, None) => {}
        }
    }
    for (key, value) in config.iter().filter(|(key, _)| key.starts_with("sasl.oauthbearer.assertion.")) {
        let name = match key {
            "sasl.oauthbearer.assertion.template.file" => "sasl.oauthbearer.assertion.jwt.template.file",
            key => key,
        };
        out.put(name, value.trim().to_owned(), key);
    }
    extensions(module, ",", out, "sasl.oauthbearer.extensions");
    Ok(())
}

fn extensions(module: &LoginModule, separator: &str, out: &mut Translated, name: &str) {
    let extension = |(key, value): (&String, &String)| Some(format!("{}={value}", key.strip_prefix("extension_")?));
    let found: Vec<String> = module.options.iter().filter_map(extension).collect();
    if !found.is_empty() {
        out.put(name, found.join(separator), "sasl.jaas.config");
    }
}

fn unsecured(module: &LoginModule, out: &mut Translated) {
    let mut words = Vec::new();
    for (option, name) in [
        ("unsecuredLoginPrincipalClaimName", "principalClaimName"),
        ("unsecuredLoginStringClaim_sub", "principal"),
        ("unsecuredLoginScopeClaimName", "scopeClaimName"),
        ("unsecuredLoginListClaim_scope", "scope"),
        ("unsecuredLoginLifetimeSeconds", "lifeSeconds"),
    ] {
        if let Some(value) = module.options.get(option) {
            words.push(format!("{name}={value}"));
        }
    }
    let extension = |(key, value): (&String, &String)| key.starts_with("extension_").then(|| format!("{key}={value}"));
    words.extend(module.options.iter().filter_map(extension));
    out.put("enable.sasl.oauthbearer.unsecure.jwt", "true".to_owned(), "sasl.mechanism");
    out.put("sasl.oauthbearer.config", words.join(" "), "sasl.jaas.config");
}
