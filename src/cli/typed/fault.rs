//! What can be typed to make a peer misbehave, or seem far away: `--fault`, `--latency-file`.

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use crate::cli::failure::reason;
use crate::cli::typed::values::Period;
use crate::peer::{FaultPlan, Latencies};

/// One kind of fault, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    Corrupt(f64),
    Drop(f64),
    Delay(Duration),
    Refuse(f64),
    Lie(f64),
    Stall(f64),
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let (kind, value) = match text.split_once('=') {
            Some((kind, value)) => (kind, Some(value)),
            None => (text, None),
        };
        let missing = || format!("how much? as in {kind}=0.01");
        let share = || {
            let share = value.ok_or_else(missing)?.parse().ok();
            share.filter(|share| (0.0..=1.0).contains(share)).ok_or("a probability is from 0 to 1".to_owned())
        };
        match kind {
            "corrupt" => Ok(Fault::Corrupt(share()?)),
            "drop" => Ok(Fault::Drop(share()?)),
            "refuse" => Ok(Fault::Refuse(share()?)),
            "stall" => Ok(Fault::Stall(share()?)),
            "lie" if value.is_none() => Ok(Fault::Lie(1.0)),
            "lie" => Ok(Fault::Lie(share()?)),
            "delay" => match value {
                Some(value) => Ok(Fault::Delay(value.parse::<Period>()?.0)),
                None => Err("how long? as in delay=100ms".into()),
            },
            _ => Err("the faults are corrupt=P, drop=P, delay=TIME, refuse=P, lie[=P] and stall=P".into()),
        }
    }
}

/// All faults together; none if there are none.
pub(crate) fn plan(faults: &[Fault], seed: u64) -> Option<FaultPlan> {
    let mut plan = FaultPlan { seed, ..FaultPlan::default() };
    for fault in faults {
        match *fault {
            Fault::Corrupt(share) => plan.corrupt = share,
            Fault::Drop(share) => plan.drop = share,
            Fault::Delay(delay) => plan.delay = delay,
            Fault::Refuse(share) => plan.refuse = share,
            Fault::Lie(share) => plan.lie = share,
            Fault::Stall(share) => plan.stall = share,
        }
    }
    (!faults.is_empty()).then_some(plan)
}

/// The latencies in a file.
pub(crate) fn latency_file(path: &str) -> Result<Latencies, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read it: {}", reason(&error)))?;
    Latencies::parse(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_a_kind_and_a_measure() {
        assert_eq!("corrupt=0.01".parse(), Ok(Fault::Corrupt(0.01)));
        assert_eq!("delay=20ms".parse(), Ok(Fault::Delay(Duration::from_millis(20))));
        assert_eq!("lie".parse(), Ok(Fault::Lie(1.0)));
        assert_eq!("lie=0.5".parse(), Ok(Fault::Lie(0.5)));
        for bad in ["", "corrupt", "corrupt=2", "drop=-1", "stall=x", "delay", "delay=long", "rot=1"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn faults_add_up() {
        let plan = plan(&[Fault::Corrupt(0.5), Fault::Stall(0.1)], 9).unwrap();
        assert_eq!((plan.corrupt, plan.stall, plan.seed), (0.5, 0.1, 9));
        assert_eq!(super::plan(&[], 9), None);
    }

    #[test]
    fn a_file_of_latencies_is_read_or_said_not_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latencies.toml");
        let read = || latency_file(path.to_str().unwrap());
        assert_eq!(read().unwrap_err(), "cannot read it: no such file or directory");
        fs::write(&path, "default = 20").unwrap();
        assert_eq!(read().unwrap().between("a", "b"), Duration::from_millis(20));
        fs::write(&path, "default = \"far\"").unwrap();
        assert!(read().is_err());
    }
}
