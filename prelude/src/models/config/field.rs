//! Tables of a configuration file's fields, and how a file is read by them.
//!
//! Every field of a file needs a rule. One without a rule is refused by name, unless it is null or its name begins
//! with `_`, as transformers names what it notes down for itself: a field that is dropped in silence may be one that
//! changes the representation.

use super::claims::Claims;
use crate::models::layers::Activation;
use serde_json::Value;

/// What is done with a field.
pub(super) enum Rule {
    /// The field is this one of the family's configuration.
    Is(&'static str),
    /// The field is this one of the family's configuration, a side in pixels or tokens, given once or as `[height, width]`.
    Side(&'static str),
    /// The field is this one of the family's configuration, the name of an activation.
    Act(&'static str),
    /// The reader of the file takes it.
    Own,
    /// The field changes neither the forward pass of a trained model nor the pixels.
    Harmless,
    /// The field is built with these values alone, written as JSON.
    Only(&'static [&'static str]),
    /// The field is not built with any value but null, for this reason.
    Never(&'static str),
}

/// Rules, each for the fields of these names.
pub(super) type Table = &'static [(Rule, &'static [&'static str])];

/// What every library's files may have beside their own fields.
pub(super) const NOTES: Table = &[(
    Rule::Harmless,
    &[
        "author",
        "base_model",
        "comment",
        "comments",
        "datasets",
        "date",
        "description",
        "language",
        "library_name",
        "license",
        "metrics",
        "model_name",
        "name",
        "notes",
        "pipeline_tag",
        "tags",
        "timm_version",
        "transformers_version",
        "url",
        "version",
    ],
)];

/// The activation that timm, torch or transformers calls `name`.
pub(super) fn activation(name: &str) -> Option<Activation> {
    Some(match name.to_ascii_lowercase().as_str() {
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_tanh" | "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate" => {
            Activation::GeluTanh
        }
        "quick_gelu" | "quickgelu" => Activation::QuickGelu,
        "relu" => Activation::Relu,
        "silu" | "swish" => Activation::Silu,
        _ => return None,
    })
}

/// Read the fields of `object` by `tables`, of which the first that knows a field decides. `at` stands before the
/// names in messages (`"model_args."`), and `house` before the names of [`Rule::Is`] (`"vision_cfg."`).
///
/// # Errors
/// When a field is not known, or has a value that is not built: the reason, with the field, the value and a remedy.
pub(super) fn read(
    object: &Value,
    at: &str,
    house: &str,
    tables: &[Table],
    claims: &mut Claims,
) -> Result<(), String> {
    let fields = match object {
        Value::Null => return Ok(()),
        Value::Object(fields) => fields,
        other => {
            return Err(format!(
                "{} = {other} is no object",
                at.trim_end_matches('.')
            ));
        }
    };
    for (name, value) in fields {
        let rules = tables.iter().flat_map(|table| table.iter());
        let rule = rules
            .filter(|(_, names)| names.contains(&name.as_str()))
            .map(|(rule, _)| rule)
            .next();
        let field = format!("{at}{name}");
        let claim = |claims: &mut Claims, name: &str, means: Value| {
            claims.say(&format!("{house}{name}"), &field, value, means)
        };
        match rule {
            Some(Rule::Own | Rule::Harmless) => {}
            _ if value.is_null() => {}
            Some(Rule::Is(name)) => claim(claims, name, value.clone()),
            Some(Rule::Side(name)) => claim(claims, name, side(&field, value)?.into()),
            Some(Rule::Act(name)) => {
                let act = act(&field, value)?;
                claim(claims, name, serde_json::json!(act))
            }
            Some(Rule::Only(built)) => only(&field, value, built)?,
            Some(Rule::Never(why)) => return Err(format!("{field} = {value} is not built: {why}")),
            None if name.starts_with('_') => {}
            None => {
                return Err(format!(
                    "{field} = {value} has no rule here; take it out of the file if the model is the same without it"
                ));
            }
        }
    }
    Ok(())
}

/// The one side that `value` stands for: a number, or `[n, n]`.
///
/// # Errors
/// When height and width differ, or it is no side.
pub(super) fn side(field: &str, value: &Value) -> Result<u64, String> {
    let sides = match value {
        Value::Array(sides) => sides.iter().map(Value::as_u64).collect(),
        one => vec![one.as_u64()],
    };
    match *sides.as_slice() {
        [Some(side)] => Ok(side),
        [Some(height), Some(width)] if height == width => Ok(height),
        [Some(_), Some(_)] => Err(format!(
            "{field} = {value} is not square, and only square ones are built"
        )),
        _ => Err(format!("{field} = {value} is no whole number")),
    }
}

/// The activation that `value` names.
///
/// # Errors
/// When it is none that is built.
pub(super) fn act(field: &str, value: &Value) -> Result<Activation, String> {
    value.as_str().and_then(activation).ok_or_else(|| {
        format!("{field} = {value} is not built; gelu, gelu_tanh, quick_gelu, relu and silu are")
    })
}

fn only(field: &str, value: &Value, built: &[&str]) -> Result<(), String> {
    let same = |text: &&str| {
        let built: Value = serde_json::from_str(text).unwrap_or_default();
        match (built.as_f64(), value.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => built == *value,
        }
    };
    if built.iter().any(same) {
        return Ok(());
    }
    Err(format!(
        "{field} = {value} is not built, only {}; change it in the file if the weights are of such a model",
        built.join(" or ")
    ))
}
