//! What a pickle says of a tensor: PyTorch's `torch/_utils.py` has the functions that would make it.

use super::pickle::{Id, Node, Object, Pickle};
use super::slot::{Number, contiguous, elements};

/// A tensor as the pickle has it, none of whose numbers is known to be there.
#[derive(Debug)]
pub(super) struct Tensor {
    pub number: Number,
    pub shape: Vec<usize>,
    /// The storage its numbers are in, or why they cannot be read.
    pub numbers: Result<Stored, String>,
}

/// The part of a storage that a tensor is.
#[derive(Debug)]
pub(super) struct Stored {
    /// The storage's name in the file.
    pub storage: String,
    /// Numbers in the whole storage.
    pub length: usize,
    /// Numbers before the tensor's first.
    pub offset: usize,
    /// As [`super::slot::Place::strides`].
    pub strides: Option<Vec<usize>>,
}

/// The tensor that `id` is, if it is one.
pub(super) fn tensor(pickle: &Pickle, id: Id) -> Option<Tensor> {
    let Node::Object(Object {
        callable,
        arguments,
        ..
    }) = pickle.node(id)
    else {
        return None;
    };
    called(pickle, *callable, pickle.sequence(*arguments)?)
}

fn called(pickle: &Pickle, callable: Id, arguments: &[Id]) -> Option<Tensor> {
    let (module, name) = pickle.global(callable)?;
    match (module, name) {
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            tensor(pickle, *arguments.first()?)
        }
        // Of a class of its own: function, class, arguments, state.
        ("torch._tensor", "_rebuild_from_type_v2") => called(
            pickle,
            *arguments.first()?,
            pickle.sequence(*arguments.get(2)?)?,
        ),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
            Some(strided(pickle, arguments, None))
        }
        ("torch._utils", "_rebuild_tensor_v3") => {
            let number = arguments.get(6).and_then(|id| pickle.global(*id));
            let number = number.map_or(Number::Other("unknown", 0), |(_, name)| of_type(name));
            Some(strided(pickle, arguments, Some(number)))
        }
        ("torch._utils" | "torch._tensor", name) if name.starts_with("_rebuild_") => {
            let kind = match name {
                "_rebuild_qtensor" => "a quantised kind",
                "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => "a sparse kind",
                "_rebuild_meta_tensor_no_storage" => "no device, without numbers",
                _ => "a kind that is not read",
            };
            Some(unreadable(
                Number::Other(kind, 0),
                format!("PyTorch makes it by {name}"),
            ))
        }
        (module, "_reconstruct") if module.starts_with("numpy.") => Some(unreadable(
            Number::Other("NumPy's", 0),
            "it is an array of NumPy".into(),
        )),
        _ => None,
    }
}

fn unreadable(number: Number, why: String) -> Tensor {
    Tensor {
        number,
        shape: Vec::new(),
        numbers: Err(why),
    }
}

/// `_rebuild_tensor_v2(storage, offset, size, stride, ...)`.
fn strided(pickle: &Pickle, arguments: &[Id], number: Option<Number>) -> Tensor {
    let mut shape = Vec::new();
    let mut kind = number;
    let numbers = (|| {
        let &[storage, offset, size, stride, ..] = arguments else {
            return Err("its arguments are not a tensor's".to_string());
        };
        let sizes = |id: Id, what: &str| -> Result<Vec<usize>, String> {
            let values = pickle.sequence(id).ok_or(format!("it has no {what}"))?;
            let value = |id: &Id| match pickle.int(*id) {
                Some(value) => {
                    usize::try_from(value).map_err(|_| format!("its {what} has the number {value}"))
                }
                None => Err(format!("its {what} is no list of sizes")),
            };
            values.iter().map(value).collect()
        };
        shape = sizes(size, "shape")?;
        let strides = sizes(stride, "strides")?;
        let offset = pickle.int(offset).and_then(|n| usize::try_from(n).ok());
        let offset = offset.ok_or("its offset is no size")?;
        let Node::Persistent(id) = pickle.node(storage) else {
            return Err("it has no storage".into());
        };
        // ("storage", class, name, device, length)
        let about = pickle.sequence(*id).unwrap_or(&[]);
        let &[_, class, name, _, length, ..] = about else {
            return Err("its storage has no name".into());
        };
        let (_, class) = pickle.global(class).unwrap_or(("", ""));
        let name = match pickle.node(name) {
            Node::Text(name) => name.clone(),
            Node::Int(name) => name.to_string(),
            _ => return Err("its storage has no name".into()),
        };
        let length = pickle.int(length).and_then(|n| usize::try_from(n).ok());
        let mut length = length.ok_or("its storage has no length")?;
        let number = match kind {
            // Such a storage counts bytes.
            Some(number) => {
                length /= number.size().max(1);
                number
            }
            None => of_storage(class),
        };
        kind = Some(number);
        within(&shape, &strides, offset, length)?;
        Ok(Stored {
            storage: name,
            length,
            offset,
            strides: (strides != contiguous(&shape) && !follows(&shape, &strides))
                .then_some(strides),
        })
    })();
    Tensor {
        // What is wrong with it is told rather than its kind.
        number: kind.unwrap_or(Number::F32),
        shape,
        numbers,
    }
}

/// Whether numbers follow each other although strides of dimensions of 1 say otherwise.
fn follows(shape: &[usize], strides: &[usize]) -> bool {
    let wanted = contiguous(shape);
    let mut dimensions = shape.iter().zip(strides).zip(&wanted);
    shape.contains(&0) || dimensions.all(|((n, s), w)| *n == 1 || s == w)
}

/// Check that a tensor lies within its storage, before any of it is made room for.
fn within(shape: &[usize], strides: &[usize], offset: usize, length: usize) -> Result<(), String> {
    let absurd =
        || format!("its shape {shape:?} is more than its storage of {length} numbers holds");
    if shape.len() != strides.len() {
        return Err(format!(
            "its shape {shape:?} has other strides, {strides:?}"
        ));
    }
    let count = elements(shape).ok_or_else(absurd)?;
    // A tensor that repeats its numbers is made larger than its storage; weights are not.
    if count == 0 {
        return Ok(());
    }
    if count > length.max(1 << 20) {
        return Err(absurd());
    }
    let last = (shape.iter().zip(strides)).try_fold(0usize, |last, (n, s)| {
        last.checked_add(n.checked_sub(1)?.checked_mul(*s)?)
    });
    match last.and_then(|last| last.checked_add(offset)) {
        Some(last) if last < length => Ok(()),
        _ => Err(absurd()),
    }
}

/// The numbers of `torch.FloatStorage` and its like.
fn of_storage(class: &str) -> Number {
    match class.strip_suffix("Storage").unwrap_or(class) {
        "Double" => Number::F64,
        "Float" => Number::F32,
        "Half" => Number::F16,
        "BFloat16" => Number::BF16,
        "Byte" => Number::U8,
        "Long" => Number::I64,
        "Int" => Number::Other("int32", 4),
        "Short" => Number::Other("int16", 2),
        "Char" => Number::Other("int8", 1),
        "Bool" => Number::Other("bool", 1),
        "ComplexFloat" => Number::Other("complex64", 8),
        "ComplexDouble" => Number::Other("complex128", 16),
        "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => Number::Other("a quantised kind", 1),
        "QInt32" => Number::Other("a quantised kind", 4),
        _ => Number::Other("a kind that is not known", 0),
    }
}

/// The numbers of `torch.float8_e4m3fn` and its like.
fn of_type(name: &str) -> Number {
    match name {
        "float64" | "double" => Number::F64,
        "float32" | "float" => Number::F32,
        "float16" | "half" => Number::F16,
        "bfloat16" => Number::BF16,
        "float8_e4m3fn" => Number::F8E4M3,
        "float8_e5m2" => Number::F8E5M2,
        "uint8" => Number::U8,
        "uint32" => Number::U32,
        "int64" | "long" => Number::I64,
        "float8_e4m3fnuz" => Number::Other("float8_e4m3fnuz", 1),
        "float8_e5m2fnuz" => Number::Other("float8_e5m2fnuz", 1),
        "uint16" => Number::Other("uint16", 2),
        "uint64" => Number::Other("uint64", 8),
        "bool" => Number::Other("bool", 1),
        _ => Number::Other("a kind that is not known", 0),
    }
}
