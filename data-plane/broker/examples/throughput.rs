//! How fast one producer and one group consumer copy: `throughput BOOTSTRAP TOPIC RECORDS [key=value ...]`.
//! Prints records a second and CPU-seconds per million records of each half. The topic must exist and be empty.

use std::time::{Duration, Instant};

use data_plane_broker::kafka::KafkaBroker;
use data_plane_broker::{
    Broker, BrokerError, ClientConfig, ConsumerEvent, FetchedBatch, ProduceError, ProduceRow, Subscription,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, records, settings @ ..] = &arguments[..] else {
        return Err("usage: throughput BOOTSTRAP TOPIC RECORDS [key=value ...]".into());
    };
    let mut config: ClientConfig = [("bootstrap.servers", bootstrap)].into_iter().collect();
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or("settings are key=value")?;
        config.set(key, value);
    }
    let records: u64 = records.parse()?;
    report("produce", records, || produce(&config, topic, records))?;
    report("consume", records, || consume(&config, topic, records))?;
    Ok(())
}

fn report(
    what: &str,
    records: u64,
    work: impl FnOnce() -> Result<(), BrokerError>,
) -> Result<(), Box<dyn std::error::Error>> {
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    work()?;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let millions = records as f64 / 1e6;
    let line = format!("{what}: {:.0} rec/s, {:.2} CPU-s per million", records as f64 / seconds, cpu / millions);
    std::io::Write::write_all(&mut std::io::stdout(), format!("{line}\n").as_bytes())?;
    Ok(())
}

/// User and system time of this process, from /proc: clock ticks are 10 ms on Linux.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

fn produce(config: &ClientConfig, topic: &str, records: u64) -> Result<(), BrokerError> {
    let mut producer = KafkaBroker.producer(config)?;
    let topic = producer.topic(topic)?;
    let (value, mut reports, mut done) = (vec![b'x'; 100], Vec::new(), 0);
    let mut opaque = 0;
    while done < records {
        while opaque < records {
            let row = ProduceRow {
                topic,
                partition: None,
                timestamp: None,
                key: None,
                value: Some(&value),
                headers: &[],
                opaque,
            };
            match producer.produce(&row) {
                Ok(()) => opaque += 1,
                Err(ProduceError::QueueFull) => break,
                Err(ProduceError::Failed(problem)) => return Err(problem),
            }
        }
        producer.poll(Duration::from_millis(100), &mut reports)?;
        for delivery in reports.drain(..) {
            delivery.result.map_err(|problem| *problem)?;
            done += 1;
        }
    }
    Ok(())
}

fn consume(config: &ClientConfig, topic: &str, records: u64) -> Result<(), BrokerError> {
    let mut config = config.clone();
    config.set("group.id", format!("throughput-{}", std::process::id()));
    let mut consumer = KafkaBroker.group_consumer(&config, &Subscription::Topics(vec![topic.to_owned()]))?;
    let (mut batch, mut done) = (FetchedBatch::default(), 0);
    while done < records {
        match consumer.poll(&mut batch, 10_000, 1 << 20)? {
            Some(ConsumerEvent::Assigned(partitions)) => {
                let partitions: Vec<_> = partitions.into_iter().map(|partition| (partition, None)).collect();
                consumer.acknowledge_assign(&partitions)?;
            }
            Some(ConsumerEvent::Revoked(partitions) | ConsumerEvent::Lost(partitions)) => {
                consumer.acknowledge_revoke(&partitions)?;
            }
            Some(ConsumerEvent::Error(problem)) => return Err(problem),
            None if batch.rows.is_empty() => std::thread::sleep(Duration::from_micros(200)),
            None => {}
        }
        done += batch.rows.len() as u64;
        batch.clear();
    }
    consumer.close(Duration::from_secs(10))
}
