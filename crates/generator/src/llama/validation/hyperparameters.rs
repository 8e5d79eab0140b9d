use super::Fault;
use crate::gguf::{Metadata, Value};

/// llama.cpp's maximum number of layers (`LLAMA_MAX_LAYERS`).
const MAX_BLOCKS: u64 = 512;
/// llama.cpp's maximum number of experts (`LLAMA_MAX_EXPERTS`).
const MAX_EXPERTS: u64 = 1024;
/// The largest number of llama.cpp's interface.
const MAX_SIZE: u64 = i32::MAX as u64;
/// The kinds of rope scaling that llama.cpp knows.
const ROPE_SCALING: [&str; 4] = ["none", "linear", "yarn", "longrope"];
/// Numbers from 1 to [`MAX_SIZE`].
const SIZES: [&str; 4] =
    ["context_length", "embedding_length", "attention.head_count", "vocab_size"];

/// Refuses sizes out of range and numbers that are not finite.
pub(super) fn check(metadata: &Metadata) -> Result<(), Fault> {
    let model =
        Model { metadata, architecture: metadata.text("general.architecture").unwrap_or("") };
    let blocks = model.number("block_count");
    if !blocks.is_some_and(|blocks| (1..=MAX_BLOCKS).contains(&blocks)) {
        let expected = format!("1 to {MAX_BLOCKS} blocks ({})", model.key("block_count"));
        return Err(Fault::new(expected, describe(blocks)));
    }
    for name in SIZES {
        let numbers = model.numbers(name).unwrap_or_default();
        if let Some(number) = numbers.iter().find(|number| !(1..=MAX_SIZE).contains(*number)) {
            return Err(Fault::new(format!("{} from 1 to {MAX_SIZE}", model.key(name)), number));
        }
    }
    check_predicted(&model, blocks.unwrap_or(0))?;
    check_experts(&model)?;
    check_floats(&model)?;
    check_rope(&model)
}

/// The layers that predict further tokens are some of the blocks.
fn check_predicted(model: &Model<'_>, blocks: u64) -> Result<(), Fault> {
    match model.number("nextn_predict_layers") {
        Some(predicted) if predicted >= blocks => {
            let name = model.key("nextn_predict_layers");
            Err(Fault::new(format!("{name} below the {blocks} blocks"), predicted))
        }
        _ => Ok(()),
    }
}

fn check_experts(model: &Model<'_>) -> Result<(), Fault> {
    let experts = model.number("expert_count").unwrap_or(0);
    if experts > MAX_EXPERTS {
        let expected = format!("at most {MAX_EXPERTS} experts ({})", model.key("expert_count"));
        return Err(Fault::new(expected, experts));
    }
    let used = model.numbers("expert_used_count").and_then(|used| used.into_iter().max());
    let used = used.unwrap_or(0);
    if used > experts || (experts > 0 && used == 0) {
        let expected = if experts > 0 { format!("1 to {experts}") } else { "no".to_owned() };
        let name = model.key("expert_used_count");
        return Err(Fault::new(format!("{expected} experts in use ({name})"), used));
    }
    let groups = model.number("expert_group_count").unwrap_or(0);
    let name = model.key("expert_group_count");
    if groups > 0 && groups >= experts {
        return Err(Fault::new(format!("{name} below the {experts} experts"), groups));
    }
    if groups > 1 {
        if !experts.is_multiple_of(groups) {
            let expected = format!("{name} that divides the {experts} experts");
            return Err(Fault::new(expected, groups));
        }
        let used = model.number("expert_group_used_count").unwrap_or(0);
        if !(1..groups).contains(&used) {
            let name = model.key("expert_group_used_count");
            return Err(Fault::new(format!("{name} from 1 to {}", groups - 1), used));
        }
    }
    Ok(())
}

/// Every number of the model is finite; what is added below a root is not negative.
fn check_floats(model: &Model<'_>) -> Result<(), Fault> {
    let prefix = model.key("");
    for (name, value) in &model.metadata.values {
        if !name.starts_with(&prefix) {
            continue;
        }
        let Some(numbers) = floats(value) else { continue };
        for number in numbers {
            if !number.is_finite() {
                return Err(Fault::new(format!("a finite number in {name}"), number));
            }
            if name.ends_with("epsilon") && number < 0.0 {
                return Err(Fault::new(format!("{name} of at least 0"), number));
            }
        }
    }
    Ok(())
}

fn check_rope(model: &Model<'_>) -> Result<(), Fault> {
    for name in ["rope.freq_base", "rope.freq_base_swa"] {
        let name = model.key(name);
        let base = model.metadata.values.get(&name).and_then(float);
        if let Some(base) = base.filter(|base| *base <= 0.0) {
            return Err(Fault::new(format!("{name} above 0"), base));
        }
    }
    for name in ["rope.scaling.factor", "rope.scale_linear"] {
        let name = model.key(name);
        let factor = model.metadata.values.get(&name).and_then(float);
        if let Some(factor) = factor.filter(|factor| *factor < 0.0) {
            return Err(Fault::new(format!("{name} of at least 0"), factor));
        }
    }
    let name = model.key("rope.scaling.type");
    match model.metadata.text(&name) {
        Some(kind) if !ROPE_SCALING.contains(&kind) => {
            let expected = format!("one of {} in {name}", ROPE_SCALING.join(", "));
            Err(Fault::new(expected, format!("`{}`", kind.escape_debug())))
        }
        _ => Ok(()),
    }
}

/// The values of the model's architecture.
struct Model<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
}

impl Model<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.metadata.number(&self.key(name))
    }

    /// A number for all layers, or one for each.
    fn numbers(&self, name: &str) -> Option<Vec<u64>> {
        let value = self.metadata.values.get(&self.key(name))?;
        match value.as_array() {
            Some(values) => values.iter().map(Value::as_u64).collect(),
            None => value.as_u64().map(|number| vec![number]),
        }
    }
}

fn float(value: &Value) -> Option<f64> {
    match *value {
        Value::F32(number) => Some(number.into()),
        Value::F64(number) => Some(number),
        _ => None,
    }
}

fn floats(value: &Value) -> Option<Vec<f64>> {
    match value.as_array() {
        Some(values) => Some(values.iter().filter_map(float).collect()),
        None => float(value).map(|number| vec![number]),
    }
}

fn describe(number: Option<u64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::{super::header, *};

    fn check_with(values: &[(&str, Value)]) -> Result<(), Fault> {
        let base = [("general.architecture", "llama".into()), ("llama.block_count", 2_u32.into())];
        check(&header(&[&base, values].concat()))
    }

    #[test]
    fn sizes_and_numbers_in_range_pass() {
        assert_eq!(check_with(&[]), Ok(()));
        assert_eq!(
            check_with(&[
                ("llama.attention.head_count", vec![2_u32, 4].into()),
                ("llama.attention.layer_norm_rms_epsilon", 1e-6_f32.into()),
                ("llama.expert_count", 8_u32.into()),
                ("llama.expert_used_count", 2_u32.into()),
                ("llama.rope.freq_base", 10_000.0_f32.into()),
                ("llama.rope.scaling.type", "yarn".into()),
                ("other.rope.freq_base", f32::NAN.into()),
            ]),
            Ok(())
        );
    }

    #[test]
    fn values_on_which_llama_cpp_aborts_or_computes_rubbish_are_named() {
        let key = |name: &'static str, value: Value| vec![(name, value)];
        let experts = |name: &'static str, value: u32, count: u32| {
            vec![
                ("llama.expert_count", count.into()),
                ("llama.expert_used_count", 1_u32.into()),
                (name, value.into()),
            ]
        };
        for (values, part) in [
            (key("llama.block_count", 0_u32.into()), "1 to 512 blocks"),
            (key("llama.block_count", 513_u32.into()), "1 to 512 blocks"),
            (key("llama.block_count", "2".into()), "1 to 512 blocks"),
            (key("llama.embedding_length", 0_u32.into()), "embedding_length from 1 to"),
            (key("llama.attention.head_count", vec![2_u32, 0].into()), "head_count from 1 to"),
            (key("llama.context_length", u32::MAX.into()), "context_length from 1 to"),
            (key("llama.nextn_predict_layers", 2_u32.into()), "nextn_predict_layers below"),
            (key("llama.expert_count", 1025_u32.into()), "at most 1024 experts"),
            (key("llama.expert_used_count", 1_u32.into()), "no experts in use"),
            (key("llama.expert_count", 4_u32.into()), "1 to 4 experts in use"),
            (experts("llama.expert_used_count", 5, 4), "1 to 4 experts in use"),
            (experts("llama.expert_group_count", 4, 4), "expert_group_count below"),
            (experts("llama.expert_group_count", 3, 4), "that divides the 4 experts"),
            (experts("llama.expert_group_count", 2, 4), "expert_group_used_count from 1 to 1"),
            (key("llama.attention.layer_norm_rms_epsilon", f32::NAN.into()), "a finite number"),
            (key("llama.attention.layer_norm_rms_epsilon", (-1e-5_f32).into()), "at least 0"),
            (key("llama.logit_scale", f32::INFINITY.into()), "a finite number"),
            (key("llama.swiglu_clamp_exp", vec![1.0_f32, f32::NAN].into()), "a finite number"),
            (key("llama.rope.freq_base", 0.0_f32.into()), "rope.freq_base above 0"),
            (key("llama.rope.scaling.factor", (-2.0_f32).into()), "scaling.factor of at least 0"),
            (key("llama.rope.scaling.type", "su".into()), "one of none, linear, yarn, longrope"),
        ] {
            let fault = check_with(&values).unwrap_err();
            assert!(fault.expected.contains(part), "{values:?}: {fault:?}");
        }
    }
}
