//! What a configuration file says of a model's shape, held against what the weights tell.

use crate::models::overlay;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One thing that a file says.
#[derive(Clone, Debug)]
struct Claim {
    /// As the file names it, and its value there; a library's default where the file leaves it out.
    field: String,
    value: Value,
    default: bool,
    /// The value in the family's terms.
    means: Value,
}

/// What a file says, by the field of the family's configuration (`"vision_cfg.width"`).
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(BTreeMap<String, Claim>);

impl Claims {
    /// `field` of the file has `value`, so `house` is `means`; what was said of it before no longer holds.
    pub fn say(&mut self, house: &str, field: &str, value: &Value, means: Value) {
        let claim = Claim {
            field: field.to_string(),
            value: value.clone(),
            default: false,
            means,
        };
        self.0.insert(house.to_string(), claim);
    }

    /// The library's default for what the file leaves out.
    pub fn otherwise(&mut self, house: &str, field: &str, value: Value) {
        let claim = Claim {
            field: field.to_string(),
            means: value.clone(),
            value,
            default: true,
        };
        self.0.entry(house.to_string()).or_insert(claim);
    }

    /// What is said of `house`.
    pub fn of(&self, house: &str) -> Option<&Value> {
        self.0.get(house).map(|claim| &claim.means)
    }

    /// Every field of the JSON object `config`, under its own name.
    pub fn of_config(config: &Value) -> Self {
        let mut claims = Self::default();
        claims.add(config, "");
        claims
    }

    fn add(&mut self, config: &Value, at: &str) {
        for (name, value) in config.as_object().into_iter().flatten() {
            let name = format!("{at}{name}");
            match value {
                Value::Object(_) => self.add(value, &format!("{name}.")),
                _ => self.say(&name, &name, value, value.clone()),
            }
        }
    }

    /// Each claim that contradicts `told`, what the weights tell, as `field = value (told by the weights)`; and
    /// whether the file says any of them itself.
    pub fn contradictions(&self, told: &Value) -> (Vec<String>, bool) {
        let against =
            |house: &str, claim: &Claim| at(told, house).map(|told| (told, claim.clone()));
        let mut found: Vec<_> = (self.0.iter())
            .filter_map(|(house, claim)| Some((house, against(house, claim)?)))
            .filter(|(house, (have, claim))| !agree(house, &claim.means, have, told))
            .map(|(_, (have, claim))| (claim.default, claim.line(have)))
            .collect();
        found.sort_by_key(|(default, _)| *default);
        let own = found.first().is_some_and(|(default, _)| !default);
        (found.into_iter().map(|(_, line)| line).collect(), own)
    }

    /// A claim of heads that do not divide their width: `pairs` are the fields of heads and of widths.
    pub fn indivisible(&self, told: &Value, pairs: &[(&str, &str)]) -> Option<String> {
        pairs.iter().find_map(|(heads, width)| {
            let claim = self.0.get(*heads)?;
            if at(told, heads).is_some() {
                return None;
            }
            let width = at(told, width)?.as_u64()?;
            let fits = (claim.means.as_u64()).is_some_and(|n| n > 0 && width.is_multiple_of(n));
            (!fits).then(|| {
                let (field, value) = (&claim.field, &claim.value);
                format!(
                    "{field} = {value} does not divide the {width} channels that the weights have"
                )
            })
        })
    }

    /// The family's configuration of what is said and not told by the weights.
    pub fn network(&self, told: &Value) -> Value {
        let mut network = json!({});
        for (house, claim) in &self.0 {
            if at(told, house).is_some() || CHECKED.iter().any(|name| house.ends_with(name)) {
                continue;
            }
            let nested = house.rsplit('.').fold(claim.means.clone(), |value, name| {
                let mut outer = json!({});
                outer[name] = value;
                outer
            });
            network = overlay(network, &nested)
        }
        network
    }
}

/// Names that no family's configuration has: they are only held against the weights.
const CHECKED: [&str; 2] = ["mlp_width", "num_features"];

impl Claim {
    fn line(&self, told: &Value) -> String {
        let Self { field, value, .. } = self;
        match self.default {
            true => format!("{field} left out, which is {value} (the weights have {told})"),
            false => format!("{field} = {value} (the weights have {told})"),
        }
    }
}

/// The value at `house` of the JSON object `config`.
pub(crate) fn at<'a>(config: &'a Value, house: &str) -> Option<&'a Value> {
    house
        .split('.')
        .try_fold(config, |value, name| value.get(name))
}

/// Whether `said` of `house` and `have`, which is told by the weights, are one.
fn agree(house: &str, said: &Value, have: &Value, told: &Value) -> bool {
    let name = house.rsplit('.').next().unwrap_or(house);
    match name {
        // The value before training; only whether there is one is known.
        "init_values" | "ls_init_value" => {
            let given = |value: &Value| value.as_f64().is_some_and(|v| v != 0.);
            given(said) == given(have)
        }
        _ if said.is_null() => true,
        "mlp_ratio" => {
            let tower = house.strip_suffix("mlp_ratio").unwrap_or("");
            let width = ["embed_dim", "width"]
                .iter()
                .find_map(|w| at(told, &format!("{tower}{w}"))?.as_f64());
            let hidden = at(told, &format!("{tower}mlp_width")).and_then(Value::as_f64);
            match (said.as_f64(), width, hidden) {
                // The libraries cut the product off; one that was read off the weights needs to be rounded.
                (Some(ratio), Some(width), Some(hidden)) => (ratio * width - hidden).abs() < 1.,
                _ => false,
            }
        }
        _ => match (said.as_f64(), have.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => said == have,
        },
    }
}
