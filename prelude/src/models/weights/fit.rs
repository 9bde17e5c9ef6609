//! A model from a checkpoint, every fault listed.

use super::Checkpoint;
use super::Precision;
use super::keys::Naming;
use crate::{Error, Result};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

impl Checkpoint {
    /// Build a model from these tensors on `device`, in f32 but for what [`Precision`] says. All names and shapes are checked, and every one that
    /// is missing, mis-shaped or not used is listed under the file's own name.
    ///
    /// # Errors
    /// When the tensors do not fit the model.
    pub fn build<M>(
        &self,
        model: &str,
        device: &Device,
        new: impl FnOnce(VarBuilder<'static>) -> Result<M>,
    ) -> Result<M> {
        let fit = Fit {
            tensors: Arc::new(self.tensors.clone()),
            naming: self.naming.clone(),
            precision: self.precision,
            excused: Arc::new(self.excused.clone()),
            asked: Arc::default(),
            faults: Arc::new(Mutex::new(self.faults.clone())),
        };
        let backend: Box<dyn SimpleBackend> = Box::new(fit.clone());
        let built = new(VarBuilder::from_backend(
            backend,
            DType::F32,
            device.clone(),
        ))?;
        let faults = fit.report();
        if faults.is_empty() {
            return Ok(built);
        }
        Err(Error::Keys {
            path: self.path.clone(),
            model: model.to_string(),
            details: faults,
        })
    }
}

/// Hands tensors to a model and notes what does not fit.
#[derive(Clone)]
struct Fit {
    tensors: Arc<BTreeMap<String, Tensor>>,
    naming: Naming,
    precision: Precision,
    /// Names whose fault is known already.
    excused: Arc<BTreeSet<String>>,
    asked: Arc<Mutex<BTreeSet<String>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

/// Names listed of each kind of fault; a wrong file would have hundreds.
const LISTED: usize = 12;

impl Fit {
    fn report(&self) -> String {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = self.tensors.keys().filter(|key| !asked.contains(*key));
        let unused = unused.flat_map(|name| self.naming.to_file(name));
        faults.extend(unused.map(|(key, _)| format!("not part of the model: {key}")));
        let mut lines: Vec<_> = faults
            .iter()
            .take(LISTED)
            .map(|f| format!("\n  {f}"))
            .collect();
        if faults.len() > LISTED {
            lines.push(format!("\n  and {} more", faults.len() - LISTED))
        }
        lines.concat()
    }

    /// Note the fault of a tensor for each of the file's keys it is made of; `found` has its shape there, if any.
    fn fault(&self, name: &str, found: Option<&[usize]>, wanted: &[usize]) {
        if self.excused.contains(name) {
            return;
        }
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, reshape) in self.naming.to_file(name) {
            let wanted = reshape.dims_in_file(wanted);
            faults.push(match found.map(|dims| reshape.dims_in_file(dims)) {
                Some(found) => format!("shape of {key}: {found:?}, the model has {wanted:?}"),
                None => format!("missing: {key} {wanted:?}"),
            })
        }
    }
}

impl SimpleBackend for Fit {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(name.to_string());
        drop(asked);
        let dtype = match dtype {
            DType::F32 => self.precision.of(name),
            _ => dtype,
        };
        match self.tensors.get(name) {
            Some(t) if t.shape() == &shape => return t.to_dtype(dtype)?.to_device(device),
            found => self.fault(name, found.map(|t| t.dims()), shape.dims()),
        }
        // The model is thrown away, but building it to the end finds every fault at once.
        Tensor::zeros(shape, dtype, device)
    }

    fn get_unchecked(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        match self.tensors.get(name) {
            Some(t) => t.to_dtype(dtype)?.to_device(device),
            None => candle_core::bail!("no tensor {name}"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}
