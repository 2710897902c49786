//! Feeds broken JSON and header text to the decoders, without tools beside cargo.
//!
//! ```text
//! cargo run --release -p data-plane-converters --example fuzz -- SEED ITERATIONS
//! cargo run --release -p data-plane-converters --example fuzz -- FILE
//! ```
//!
//! With a seed it changes texts of a small corpus (bytes set, cut out, doubled, pieces of other texts put in) and gives each
//! result to all converters of the crate, to `values::parse_string` and to the JSON reader. With a file it gives them the file's
//! bytes once. A decoder may refuse its input; it must not panic. Inputs that make one panic are printed in hexadecimal,
//! and the run then ends with 1. The same seed gives the same inputs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use data_plane_connector_api::{Config, ConverterRole, Factory, PluginSource};
use data_plane_converters::Converters;
use data_plane_record::{Arena, jackson, java_text, values};

/// Longest input made, in bytes.
const LONGEST: usize = 4_096;
/// Failures after which a run ends.
const MOST_FAILURES: usize = 20;

const CORPUS: [&str; 14] = [
    r#"{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":true,"field":"name"}],"optional":false,"name":"S","version":1},"payload":{"id":1,"name":"a"}}"#,
    r#"{"schema":{"type":"array","items":{"type":"double","optional":true},"optional":true,"default":[1.5]},"payload":[1,2.5e3,null,-0.0]}"#,
    r#"{"schema":{"type":"map","keys":{"type":"int8","optional":false},"values":{"type":"bytes","optional":false},"optional":false},"payload":[[1,"AQ=="],[2,"////"]]}"#,
    r#"{"schema":{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}},"payload":"MDk="}"#,
    r#"{"schema":{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1},"payload":19000}"#,
    r#"{"schema":null,"payload":{"a":[true,false,null,1,"x",{"b":{}}]}}"#,
    r#"{"a":1,"a":2,"\u00e9\ud83d\ude00":"\n\t\"\\"}"#,
    "[1, 2, 300, 70000, 5000000000, 1.5, 1e400]",
    "{\"k\":\"v\",\"2024-02-29\":\"2024-02-29T12:34:56.789Z\"}",
    "12:34:56.789Z",
    "2024-02-29",
    "-123.456E+7",
    "\0\0\0\x07",
    "[[[[{{\"\":[]}}]]]]",
];

/// A small generator of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    /// A number below a bound above 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut decoders = Decoders::new();
    match arguments.as_slice() {
        [file] => match std::fs::read(file) {
            Ok(bytes) => report(&decoders.run(&bytes), &bytes),
            Err(error) => {
                eprintln!("{file}: {error}");
                ExitCode::from(2)
            }
        },
        [seed, iterations] => match (seed.parse(), iterations.parse()) {
            (Ok(seed), Ok(iterations)) => fuzz(&mut decoders, seed, iterations),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("fuzz SEED ITERATIONS, or fuzz FILE; seed and iterations are whole numbers");
    ExitCode::from(2)
}

fn fuzz(decoders: &mut Decoders, seed: u64, iterations: u64) -> ExitCode {
    // Zero would stay zero.
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut failures = 0;
    for iteration in 0..iterations {
        let input = mutated(&mut numbers);
        let panicked = decoders.run(&input);
        if !panicked.is_empty() {
            println!("iteration {iteration}");
            report(&panicked, &input);
            failures += 1;
            if failures == MOST_FAILURES {
                break;
            }
        }
    }
    println!("{iterations} inputs, {failures} of them made a decoder panic");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(panicked: &[String], input: &[u8]) -> ExitCode {
    if panicked.is_empty() {
        return ExitCode::SUCCESS;
    }
    let bytes: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("panicked: {}; input {bytes}", panicked.join(", "));
    ExitCode::FAILURE
}

/// A text of the corpus after a few changes.
fn mutated(numbers: &mut Numbers) -> Vec<u8> {
    let mut input = CORPUS[numbers.below(CORPUS.len())].as_bytes().to_vec();
    for _ in 0..=numbers.below(6) {
        if input.is_empty() {
            break;
        }
        let (start, end) = (numbers.below(input.len()), numbers.below(input.len()));
        let part = start.min(end)..start.max(end) + 1;
        match numbers.below(6) {
            0 => input[start] = numbers.below(256) as u8,
            1 => input[start] = b"[]{}\",:\\0-.eE"[numbers.below(13)],
            2 => drop(input.drain(part)),
            3 => {
                let doubled = input[part].to_vec();
                input.splice(start..start, doubled);
            }
            4 => {
                let other = CORPUS[numbers.below(CORPUS.len())].as_bytes();
                let at = numbers.below(other.len());
                input.splice(part, other[at..].iter().copied());
            }
            _ => {
                let many = input[start..=start].repeat(1 + numbers.below(64));
                input.splice(start..start, many);
            }
        }
        input.truncate(LONGEST);
    }
    input
}

/// A decoder by name.
type Decode = Box<dyn FnMut(&[u8])>;

struct Decoders(Vec<(String, Decode)>);

impl Decoders {
    fn new() -> Self {
        let mut decoders: Vec<(String, Decode)> = vec![
            (
                "jackson::read".to_owned(),
                Box::new(|bytes| {
                    if let Ok(Some(json)) = jackson::read(bytes) {
                        drop((json.to_value(), json.long_value(), json.double_value()));
                    }
                }),
            ),
            (
                "values::parse_string".to_owned(),
                Box::new(|bytes| {
                    if let Ok(Some(parsed)) = values::parse_string(&java_text::decode_utf8(bytes)) {
                        drop(values::to_string(&parsed.value, &Arena::default()));
                    }
                }),
            ),
        ];
        for plugin in Converters.plugins() {
            for config in configs(&plugin.class) {
                let name = format!("{} {config:?}", plugin.class);
                match &plugin.factory {
                    Factory::Converter(make) => {
                        let mut converter = make();
                        converter.configure(&config, ConverterRole::Value).expect("a config");
                        let decode: Decode = Box::new(move |bytes| {
                            let mut arena = Arena::default();
                            let span = arena.push(bytes);
                            drop(converter.to_connect("t", Some(span), &mut arena));
                        });
                        decoders.push((name, decode));
                    }
                    Factory::HeaderConverter(make) => {
                        let mut converter = make();
                        converter.configure(&config, ConverterRole::Header).expect("a config");
                        let decode: Decode = Box::new(move |bytes| {
                            let mut arena = Arena::default();
                            let span = arena.push(bytes);
                            drop(converter.to_connect_header("t", "h", Some(span), &mut arena));
                        });
                        decoders.push((name, decode));
                    }
                    _ => {}
                }
            }
        }
        Self(decoders)
    }

    /// The names of those that panic on an input.
    fn run(&mut self, input: &[u8]) -> Vec<String> {
        let mut panicked = Vec::new();
        for (name, decode) in &mut self.0 {
            if catch_unwind(AssertUnwindSafe(|| decode(input))).is_err() {
                panicked.push(name.clone());
            }
        }
        panicked
    }
}

/// The configs that a converter is run with: for JSON with and without schemas.
fn configs(class: &str) -> Vec<Config> {
    let mut configs = vec![Config::new()];
    if class.ends_with(".JsonConverter") {
        configs.push([("schemas.enable".to_owned(), "false".to_owned())].into());
    }
    configs
}
