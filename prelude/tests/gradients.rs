//! Every operation of `ops` keeps its gradient: on every float type, whether its input is contiguous or a view, a
//! variable or computed from one. In f64 the gradient is that of finite differences; in other types that of f64.

use candle_core::{DType, Device, Result, Tensor, Var};
use vitrepl_prelude::ops::{self, depthwise::Placement};

type Op = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// Values between -2 and 2 without order.
fn numbers(shape: &[usize], seed: usize) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f64> = (0..n)
        .map(|i| 2.0 * ((i * 7919 + seed * 104_729) as f64 * 0.618_034).sin())
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Each operation with inputs in f64.
fn operations() -> Vec<(&'static str, Vec<Tensor>, Op)> {
    let one = |f: fn(&Tensor) -> Result<Tensor>| -> Op { Box::new(move |x| f(&x[0])) };
    let same = Placement::same(5, 3, 2);
    vec![
        (
            "softmax",
            vec![numbers(&[4, 7], 1)],
            one(ops::softmax_last_dim),
        ),
        (
            "softmax of attention",
            vec![numbers(&[2, 2, 3, 3], 2)],
            one(ops::softmax_last_dim),
        ),
        ("gelu", vec![numbers(&[3, 5], 3)], one(ops::gelu)),
        ("gelu_tanh", vec![numbers(&[3, 5], 4)], one(ops::gelu_tanh)),
        (
            "quick_gelu",
            vec![numbers(&[3, 5], 5)],
            one(ops::quick_gelu),
        ),
        (
            "layer_norm",
            vec![numbers(&[2, 3, 6], 6), numbers(&[6], 7), numbers(&[6], 8)],
            Box::new(|x| ops::layer_norm(&x[0], &x[1], &x[2], 1e-3)),
        ),
        (
            "batch_norm",
            vec![numbers(&[2, 4, 5], 9), numbers(&[5], 10), numbers(&[5], 11)],
            Box::new(|x| Ok(ops::batch_norm(&x[0], &x[1], &x[2], 1e-3)?.0)),
        ),
        (
            "add_bias",
            vec![numbers(&[4, 3], 12), numbers(&[3], 13)],
            Box::new(|x| ops::add_bias(&x[0], &x[1])),
        ),
        (
            "mean_over_tokens",
            vec![numbers(&[2, 3, 4], 14)],
            one(ops::mean_over_tokens),
        ),
        (
            "depthwise_conv",
            vec![numbers(&[1, 5, 5, 3], 15), numbers(&[9, 3], 16)],
            Box::new(move |x| ops::depthwise_conv(&x[0], &x[1], same)),
        ),
        (
            "conv",
            vec![
                numbers(&[1, 5, 5, 2], 17),
                numbers(&[3, 2, 3, 3], 18),
                numbers(&[3], 19),
            ],
            Box::new(move |x| ops::conv(&x[0], &x[1], &x[2], same)),
        ),
    ]
}

/// How an input reaches the operation.
#[derive(Clone, Copy, Debug)]
enum Reached {
    Variable,
    /// As the transpose of a variable's transposed copy: the same values, not contiguous.
    View,
    /// As the result of a tracked operation.
    Computed,
}

impl Reached {
    fn of(self, values: &Tensor) -> Result<(Var, Tensor)> {
        Ok(match self {
            Self::View if values.rank() > 1 => {
                let var = Var::from_tensor(&values.transpose(0, 1)?.contiguous()?)?;
                let view = var.transpose(0, 1)?;
                (var, view)
            }
            Self::Computed => {
                let var = Var::from_tensor(&(values * 2.0)?)?;
                let half = (var.as_tensor() * 0.5)?;
                (var, half)
            }
            _ => {
                let var = Var::from_tensor(values)?;
                let x = var.as_tensor().clone();
                (var, x)
            }
        })
    }

    /// A gradient of the variable as one of the operation's input.
    fn undo(self, gradient: &Tensor) -> Result<Tensor> {
        match self {
            Self::View if gradient.rank() > 1 => gradient.transpose(0, 1),
            Self::Computed => gradient * 2.0,
            _ => Ok(gradient.clone()),
        }
    }
}

fn flat(x: &Tensor) -> Vec<f64> {
    let x = x.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    x.to_vec1().unwrap()
}

/// The result, and the gradient of sum(probe * result) with respect to each input.
fn gradients(op: &Op, inputs: &[Tensor], dtype: DType, how: Reached) -> Result<Vec<Vec<f64>>> {
    let (vars, given): (Vec<_>, Vec<_>) = inputs
        .iter()
        .map(|x| how.of(&x.to_dtype(dtype)?))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let y = op(&given)?;
    assert_eq!(y.dtype(), dtype, "the type of the result");
    let probe = numbers(y.dims(), 99).to_dtype(dtype)?;
    let grads = (&y * probe)?.sum_all()?.backward()?;
    let mut all = vec![flat(&y)];
    for var in &vars {
        let gradient = grads.get(var).expect("a gradient");
        all.push(flat(&how.undo(gradient)?))
    }
    Ok(all)
}

/// The gradient of sum(probe * result) by central differences in f64.
fn differences(op: &Op, inputs: &[Tensor], which: usize) -> Result<Vec<f64>> {
    const STEP: f64 = 1e-5;
    let at = |values: Vec<f64>| -> Result<f64> {
        let mut inputs = inputs.to_vec();
        inputs[which] = Tensor::from_vec(values, inputs[which].shape(), &Device::Cpu)?;
        let y = op(&inputs)?;
        (&y * numbers(y.dims(), 99))?.sum_all()?.to_scalar::<f64>()
    };
    let values = flat(&inputs[which]);
    (0..values.len())
        .map(|i| {
            let moved = |by: f64| {
                let mut values = values.clone();
                values[i] += by;
                at(values)
            };
            Ok((moved(STEP)? - moved(-STEP)?) / (2.0 * STEP))
        })
        .collect()
}

#[track_caller]
fn near(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let size = want.iter().fold(1.0, |m: f64, w| m.max(w.abs()));
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance * size, "{what}: {g} for {w}");
    }
}

#[test]
fn in_f64_gradients_are_finite_differences() -> Result<()> {
    for (name, inputs, op) in operations() {
        let all = gradients(&op, &inputs, DType::F64, Reached::Variable)?;
        for (i, gradient) in all[1..].iter().enumerate() {
            near(
                &format!("{name}, input {i}"),
                gradient,
                &differences(&op, &inputs, i)?,
                1e-8,
            );
        }
    }
    Ok(())
}

#[test]
fn every_type_and_layout_has_the_values_and_gradients_of_f64() -> Result<()> {
    for (name, inputs, op) in operations() {
        for (dtype, tolerance) in [
            (DType::F64, 1e-12),
            (DType::F32, 5e-6),
            (DType::F16, 1e-2),
            (DType::BF16, 8e-2),
        ] {
            // The same rounded inputs for both, so that only the operation is compared.
            let rounded = inputs
                .iter()
                .map(|x| x.to_dtype(dtype)?.to_dtype(DType::F64))
                .collect::<Result<Vec<_>>>()?;
            let want = gradients(&op, &rounded, DType::F64, Reached::Variable)?;
            for how in [Reached::Variable, Reached::View, Reached::Computed] {
                let got = gradients(&op, &rounded, dtype, how)?;
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    let what = format!("{name} in {dtype:?}, {how:?}, part {i}");
                    near(&what, got, want, tolerance);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_masked_softmax_has_a_finite_gradient() -> Result<()> {
    let mask = Tensor::new(&[[0f64, f64::NEG_INFINITY], [0.0, 0.0]], &Device::Cpu)?;
    for dtype in [DType::F32, DType::F64, DType::F16] {
        let x = Var::from_tensor(&numbers(&[2, 2], 1).to_dtype(dtype)?)?;
        let y = ops::softmax_last_dim(&(x.as_tensor() + mask.to_dtype(dtype)?)?)?;
        let grads = y.sqr()?.sum_all()?.backward()?;
        let gradient = flat(grads.get(&x).expect("a gradient"));
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
        assert!(gradient[2] != 0.0 && gradient[0] == 0.0, "{gradient:?}");
    }
    Ok(())
}

/// A kernel that paired values with the wrong channels would return numbers all the same.
#[test]
fn vectors_of_another_width_are_refused() {
    let x = numbers(&[2, 6], 1);
    for dtype in [DType::F32, DType::F64] {
        let x = x.to_dtype(dtype).unwrap();
        let short = numbers(&[4], 2).to_dtype(dtype).unwrap();
        let fits = numbers(&[6], 3).to_dtype(dtype).unwrap();
        let results = [
            ops::layer_norm(&x, &short, &fits, 1e-5),
            ops::layer_norm(&x, &fits, &short, 1e-5),
            ops::batch_norm(&x, &short, &fits, 1e-5).map(|y| y.0),
            ops::add_bias(&x, &short),
        ];
        for result in results {
            let text = result.unwrap_err().to_string();
            assert!(
                text.contains("[4]") && text.contains("6 channels"),
                "{text}"
            );
        }
    }
}

/// The whole of a vision transformer keeps the gradient of its pixels, as Grad-CAM and adversarial probes need it.
#[test]
fn a_models_pixels_have_a_gradient() -> Result<()> {
    use vitrepl_prelude::models::{ImageEncoder, Vit, VitConfig};
    use vitrepl_prelude::trace::Tape;
    let config = VitConfig {
        img_size: 16,
        patch_size: 8,
        embed_dim: 16,
        depth: 2,
        num_heads: 2,
        ..VitConfig::default()
    };
    let vit = Vit::random(&config, 1).unwrap();
    let pixels = numbers(&[1, 3, 16, 16], 1).to_dtype(DType::F32)?;
    let of = |pixels: &Tensor| -> Result<Tensor> {
        let features = vit.forward(pixels, &Tape::off()).unwrap();
        features.representation.value().narrow(1, 0, 1)?.sum_all()
    };
    let var = Var::from_tensor(&pixels)?;
    let grads = of(&var)?.backward()?;
    let gradient = grads.get(&var).expect("a gradient");
    // Along the gradient the value rises by its squared length.
    let length = gradient.sqr()?.sum_all()?.to_scalar::<f32>()?;
    let step = 1e-2 / length.sqrt();
    let up = of(&(&pixels + (gradient * f64::from(step))?)?)?.to_scalar::<f32>()?;
    let down = of(&(&pixels - (gradient * f64::from(step))?)?)?.to_scalar::<f32>()?;
    let slope = (up - down) / (2.0 * step);
    assert!((slope / length - 1.0).abs() < 2e-2, "{slope} for {length}");
    Ok(())
}
