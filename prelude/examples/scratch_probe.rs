use std::sync::Arc;
use vitrepl_prelude::Result;
use vitrepl_prelude::candle_core::{Device, Tensor};
use vitrepl_prelude::data::*;
use vitrepl_prelude::experiments::spurious::*;
use vitrepl_prelude::models::Model;
use vitrepl_prelude::score::*;

fn embed(model: &Model, set: &GeneratedSet) -> Result<Tensor> {
    let all: Vec<_> = (0..set.len()).collect();
    let mut out = vec![];
    for part in all.chunks(100) {
        out.push(
            model
                .encoder()
                .encode(&set.pixels(part, model.encoder().image_size())?)?,
        );
    }
    Ok(Tensor::cat(&out, 0)?)
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let open = |p: &str| Model::open(p, &serde_json::Value::Null, &Device::Cpu);
    if args[0] == "study" {
        let clip = Arc::new(open(&args[1])?.with_tokenizer("prelude/src/data/tokenizer.json")?);
        let study = Study::new(
            &clip,
            Setting {
                reference: 2000,
                train: 3000,
                validation: 1000,
                test: 2000,
                ..Setting::default()
            },
        )?;
        let mut results = vec![];
        for p in &args[2..] {
            let m = open(p)?;
            let r = study.run(&m, Head::Probe)?;
            println!("{}", r.ranking(8));
            results.push(r);
        }
        results.push(study.run(&clip, Head::Probe)?);
        println!("{}", results.last().unwrap().ranking(8));
        results.push(study.run(&clip, Head::ZeroShot)?);
        println!("{}", comparison(&results));
        return Ok(());
    }
    for p in &args {
        let m = open(p)?;
        let test = GeneratedSet::new(GeneratedSpec::correlated(5, 3000, 0.5))?;
        let zt = embed(&m, &test)?;
        let ct: Vec<usize> = test
            .labels("class")?
            .values
            .iter()
            .map(|&v| v as usize)
            .collect();
        let gt = test.labels("group")?;
        for agreement in [0.5, 0.8, 0.9, 0.95, 0.98, 0.99] {
            let train = GeneratedSet::new(GeneratedSpec::correlated(6, 3000, agreement))?;
            let z = embed(&m, &train)?;
            let c: Vec<usize> = train
                .labels("class")?
                .values
                .iter()
                .map(|&v| v as usize)
                .collect();
            let (head, _) = fit_probe(&z, &c, 2, &ProbeOptions::default())?;
            let said = head.predict(&zt)?;
            let mut acc = vec![(0., 0.); 4];
            for i in 0..said.len() {
                let g = &mut acc[gt.values[i] as usize];
                g.1 += 1.;
                if said[i] == ct[i] {
                    g.0 += 1.
                }
            }
            let acc: Vec<f64> = acc
                .iter()
                .map(|(a, b)| (a / b * 1000f64).round() / 1000.)
                .collect();
            println!("{p} agreement {agreement}: {acc:?}");
        }
    }
    Ok(())
}
