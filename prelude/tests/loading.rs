//! Decoding ahead of the model: the same values whatever the batch and the threads, and an end whatever happens.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use vitrepl_prelude::data::ahead::each_batch;
use vitrepl_prelude::prelude::*;

type Act = fn() -> Result<()>;

/// A generated set that takes its time, and does something else at one image.
struct Slow {
    set: GeneratedSet,
    /// For each image.
    takes: Duration,
    at: Option<(usize, Act)>,
    drawn: AtomicUsize,
    furthest: AtomicUsize,
}

impl Slow {
    fn new(len: usize, takes: u64) -> Self {
        Self {
            set: GeneratedSet::new(GeneratedSpec::unbiased(5, len)).unwrap(),
            takes: Duration::from_millis(takes),
            at: None,
            drawn: AtomicUsize::new(0),
            furthest: AtomicUsize::new(0),
        }
    }
}

impl DataSet for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn key(&self) -> String {
        self.set.key()
    }

    fn len(&self) -> usize {
        self.set.len()
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        for &index in indices {
            std::thread::sleep(self.takes);
            self.drawn.fetch_add(1, Ordering::Relaxed);
            self.furthest.fetch_max(index, Ordering::Relaxed);
            match self.at {
                Some((at, act)) if at == index => act()?,
                _ => {}
            }
        }
        self.set.pixels(indices, input)
    }
}

fn loading(batch: usize, threads: usize, ahead: usize) -> Loading {
    Loading {
        batch,
        threads,
        ahead,
    }
}

/// The pixels of all batches one behind the other, and where each batch began.
fn collect(set: &dyn DataSet, from: usize, loading: Loading) -> Result<(Vec<f32>, Vec<usize>)> {
    let (mut values, mut starts) = (Vec::new(), Vec::new());
    let all = from..set.len();
    let ended = each_batch(
        set,
        all,
        16.into(),
        loading,
        &|| true,
        Ok,
        |batch, pixels| {
            assert_eq!(pixels.dims(), [batch.len(), 3, 16, 16]);
            starts.push(batch.start);
            values.extend(pixels.flatten_all()?.to_vec1::<f32>()?);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    assert!(ended.is_continue());
    Ok((values, starts))
}

#[test]
fn batches_come_whole_and_in_order() -> Result<()> {
    let set = Slow::new(50, 0);
    let indices: Vec<_> = (0..50).collect();
    let at_once = set
        .set
        .pixels(&indices, 16.into())?
        .flatten_all()?
        .to_vec1::<f32>()?;
    for (batch, threads, ahead) in [
        (1, 1, 1),
        (7, 1, 3),
        (7, 3, 1),
        (16, 8, 2),
        (50, 2, 1),
        (64, 64, 9),
    ] {
        let (values, starts) = collect(&set, 0, loading(batch, threads, ahead))?;
        assert!(values == at_once, "batch {batch}, {threads} threads");
        assert_eq!(starts, (0..50).step_by(batch).collect::<Vec<_>>());
    }
    let (values, starts) = collect(&set, 43, loading(5, 2, 1))?;
    assert!(values == at_once[43 * 3 * 256..]);
    assert_eq!(starts, [43, 48]);
    assert!(collect(&set, 50, loading(5, 2, 1))?.1.is_empty());
    Ok(())
}

#[test]
fn decoding_goes_on_while_the_model_computes_and_no_further_than_asked() -> Result<()> {
    let set = Slow::new(40, 5);
    let start = Instant::now();
    let ended = each_batch(
        &set,
        0..40,
        16.into(),
        loading(8, 1, 2),
        &|| true,
        Ok,
        |batch, _| {
            let most = batch.end - 1 + 2 * 8;
            assert!(set.furthest.load(Ordering::Relaxed) <= most, "{batch:?}");
            std::thread::sleep(Duration::from_millis(40));
            let furthest = set.furthest.load(Ordering::Relaxed);
            assert!(
                batch.end == 40 || furthest >= batch.end,
                "nothing was decoded ahead of {batch:?}"
            );
            assert!(furthest <= most, "{batch:?}: {furthest} is too far ahead");
            Ok(ControlFlow::Continue(()))
        },
    )?;
    assert!(ended.is_continue());
    // 40 images of 5 ms and 5 batches of 40 ms: 400 ms one after the other, about 240 ms side by side.
    println!("took {:?}", start.elapsed());
    assert_eq!(set.drawn.load(Ordering::Relaxed), 40, "each image once");
    Ok(())
}

#[test]
fn an_error_ends_it_and_is_that_of_the_first_image() {
    for threads in [1, 2, 16] {
        let mut set = Slow::new(500, 1);
        set.at = Some((20, || Err(Error::argument("image", 20, "a picture"))));
        let taken = Mutex::new(Vec::new());
        let ended = each_batch(
            &set,
            0..500,
            16.into(),
            loading(8, threads, 4),
            &|| true,
            Ok,
            |batch, _| {
                taken.lock().unwrap().push(batch.start);
                Ok(ControlFlow::Continue(()))
            },
        );
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("image = 20: a picture"), "{error}");
        assert_eq!(
            *taken.lock().unwrap(),
            [0, 8],
            "the batches before it are handed out"
        );
        assert!(
            set.drawn.load(Ordering::Relaxed) < 100,
            "the rest is not decoded"
        );
    }
}

#[test]
fn the_takers_error_ends_it() {
    let set = Slow::new(500, 1);
    let fail = |_, _| Err(Error::argument("model", 0, "something better"));
    let ended = each_batch(
        &set,
        0..500,
        16.into(),
        loading(8, 4, 4),
        &|| true,
        Ok,
        fail,
    );
    assert!(ended.unwrap_err().to_string().contains("something better"));
    assert!(set.drawn.load(Ordering::Relaxed) < 100);
}

#[test]
fn a_panic_of_a_decoder_is_an_error() {
    let mut set = Slow::new(100, 0);
    set.at = Some((30, || panic!("a decoder's fault")));
    let go_on = |_, _| Ok(ControlFlow::Continue(()));
    let ended = each_batch(
        &set,
        0..100,
        16.into(),
        loading(8, 3, 2),
        &|| true,
        Ok,
        go_on,
    );
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("decoding image 30 panicked"), "{error}");
}

#[test]
fn a_stop_is_heard_while_waiting_for_an_image() -> Result<()> {
    // Four seconds a batch, asked to stop after 50 ms.
    let set = Slow::new(200, 50);
    let start = Instant::now();
    let go_on = || start.elapsed() < Duration::from_millis(50);
    let never = |_, _| panic!("no batch can be whole");
    let ended = each_batch(
        &set,
        0..200,
        16.into(),
        loading(80, 1, 1),
        &go_on,
        Ok,
        never,
    )?;
    assert!(ended.is_break());
    assert!(
        start.elapsed() < Duration::from_millis(1000),
        "{:?}",
        start.elapsed()
    );
    assert!(set.drawn.load(Ordering::Relaxed) < 20);
    Ok(())
}

#[test]
fn absurd_loadings_are_refused() {
    for (bad, name) in [
        (loading(0, 1, 1), "batch = 0"),
        (loading(1, 0, 1), "threads = 0"),
        (loading(1, 1, 0), "ahead = 0"),
        (loading(usize::MAX, 1, 1), "batch = 18446744073709551615"),
        (loading(1, 100_000, 1), "threads = 100000"),
    ] {
        let error = set_loading(bad).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("between 1 and"),
            "{error}"
        );
    }
}

#[test]
fn contributions_do_not_depend_on_batch_or_threads() -> Result<()> {
    // Files of another shape than the model takes, so that decoding and resizing are part of it.
    let folder = tempfile::tempdir().unwrap();
    let drawn = GeneratedSet::new(GeneratedSpec::unbiased(5, 21))?;
    for i in 0..drawn.len() {
        let rgb = drawn.draw(i, 80).rgb;
        let picture = image::RgbImage::from_raw(80, 80, rgb).unwrap();
        let part = image::imageops::crop_imm(&picture, 0, 0, 80, 60 + i as u32 / 2).to_image();
        part.save(folder.path().join(format!("{i:02}.jpg")))
            .unwrap();
    }
    let set = FolderSet::open(folder.path(), OnUnreadable::Fail)?;
    let model = load("tiny_vit")?;
    let mut first: Option<(Vec<f32>, Vec<f32>)> = None;
    for (batch, threads, ahead) in [(32, 1, 1), (1, 1, 1), (4, 2, 1), (5, 7, 3), (21, 3, 2)] {
        set_loading(loading(batch, threads, ahead))?;
        forget("*");
        let values = decompose(&model, &set, &DecomposeOptions::default())?
            .values()
            .flatten_all()?
            .to_vec1::<f32>()?;
        let images = embed_images(&model, &set)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let (of_values, of_images) = first.get_or_insert_with(|| (values.clone(), images.clone()));
        for (ours, theirs) in [(&values, of_values), (&images, of_images)] {
            let largest = theirs.iter().fold(0_f32, |most, v| most.max(v.abs()));
            let apart = ours
                .iter()
                .zip(theirs.iter())
                .map(|(a, b)| (a - b).abs())
                .fold(0., f32::max);
            assert!(
                apart <= 1e-5 * largest,
                "batch {batch}, {threads} threads: {apart} of {largest}"
            );
        }
    }
    set_loading(Loading::default())
}
