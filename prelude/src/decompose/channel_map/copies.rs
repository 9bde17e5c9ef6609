//! Channel maps on another device.

use super::{ChannelMap, Step};
use crate::ops::moved;
use candle_core::{Device, Result, Tensor, TensorId};
use std::collections::HashMap;
use std::sync::Arc;

/// Channel maps on their way to a device, batch by batch: a weight that several maps have, or a map of the batch before, is
/// copied once, and steps that maps share are shared there too.
pub(crate) struct MapCopies {
    device: Device,
    /// The weights of the batch before.
    known: HashMap<TensorId, Tensor>,
    /// Those of this one.
    weights: HashMap<TensorId, Tensor>,
    /// Maps of this batch by the address of their first step, each with the original, so that no other takes its place.
    maps: HashMap<usize, (ChannelMap, ChannelMap)>,
}

impl MapCopies {
    /// None yet on `device`.
    pub fn on(device: &Device) -> Self {
        Self {
            device: device.clone(),
            known: HashMap::new(),
            weights: HashMap::new(),
            maps: HashMap::new(),
        }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Another batch begins: what the one that ends did not have is let go.
    pub fn begin(&mut self) {
        self.known = std::mem::take(&mut self.weights);
        self.maps.clear()
    }

    /// `map` on the device.
    ///
    /// # Errors
    /// When a device fails or has too little memory.
    pub fn map(&mut self, map: &ChannelMap) -> Result<ChannelMap> {
        let mut copied = ChannelMap::default();
        // The last step first, which most maps share.
        for node in map.nodes().into_iter().rev() {
            let address = Arc::as_ptr(node).addr();
            if let Some((_, known)) = self.maps.get(&address) {
                copied = known.clone();
                continue;
            }
            let step = match &node.0 {
                Step::Dense(weight) => Step::Dense(self.weight(weight)?),
                Step::Diagonal(gamma) => Step::Diagonal(self.weight(gamma)?),
                Step::Centre => Step::Centre,
                Step::Merge(rows) => Step::Merge(*rows),
            };
            copied = copied.push(step);
            let original = ChannelMap(Some(node.clone()));
            self.maps.insert(address, (original, copied.clone()));
        }
        Ok(copied)
    }

    fn weight(&mut self, weight: &Tensor) -> Result<Tensor> {
        if let Some(copied) = self.weights.get(&weight.id()) {
            return Ok(copied.clone());
        }
        let copied = match self.known.get(&weight.id()) {
            Some(known) => known.clone(),
            None => moved(weight, &self.device)?,
        };
        self.weights.insert(weight.id(), copied.clone());
        Ok(copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(map: &ChannelMap) -> usize {
        map.0.as_ref().map_or(0, |node| Arc::as_ptr(node).addr())
    }

    #[test]
    fn copies_share_what_their_originals_share_and_are_the_same_map() -> Result<()> {
        let cpu = &Device::Cpu;
        let weight = Tensor::randn(0f32, 1., (3, 8), cpu)?;
        let gamma = Tensor::randn(0f32, 1., 8, cpu)?;
        let end = ChannelMap::default().after_dense(&weight);
        let one = end.after_diagonal(&gamma).after_merge(2);
        let other = end.after_centring();
        let mut copies = MapCopies::on(cpu);
        let end_copy = copies.map(&end)?;
        let (one_copy, other_copy) = (copies.map(&one)?, copies.map(&other)?);
        for copy in [&one_copy, &other_copy] {
            let nodes = copy.nodes();
            let last = nodes.last().map(|node| Arc::as_ptr(node).addr());
            assert_eq!(last, Some(first(&end_copy)));
            assert_ne!(first(copy), first(&end_copy));
        }
        assert_eq!(first(&copies.map(&one)?), first(&one_copy));
        let x = Tensor::randn(0f32, 1., (4, 4), cpu)?;
        let (want, got) = (one.apply(&x)?, one_copy.apply(&x)?);
        assert_eq!(got.to_vec2::<f32>()?, want.to_vec2::<f32>()?);
        Ok(())
    }

    #[test]
    fn weights_of_the_batch_before_are_known_and_older_ones_let_go() -> Result<()> {
        let cpu = &Device::Cpu;
        let weights: Vec<Tensor> = (0..2)
            .map(|_| Tensor::zeros((2, 2), candle_core::DType::F32, cpu))
            .collect::<Result<_>>()?;
        let mut copies = MapCopies::on(cpu);
        let map = |weight: &Tensor| ChannelMap::default().after_dense(weight);
        copies.map(&map(&weights[0]))?;
        copies.begin();
        copies.map(&map(&weights[1]))?;
        assert!(copies.known.contains_key(&weights[0].id()));
        // Each batch has maps of its own with the same weights.
        copies.begin();
        copies.map(&map(&weights[1]))?;
        copies.map(&map(&weights[1]))?;
        assert_eq!((copies.known.len(), copies.weights.len()), (1, 1));
        assert!(!copies.known.contains_key(&weights[0].id()));
        Ok(())
    }
}
