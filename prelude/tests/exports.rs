//! What goes out to other programs is read back as they read it.

mod common;

use candle_core::Tensor;
use common::CACHE;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Row, RowAccessor};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use vitrepl_prelude::charts::{BarChart, HeatmapGrid, LineChart, Tile};
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::{GroupAccuracy, GroupCount};

fn contributions() -> Arc<Contributions> {
    LazyLock::force(&CACHE);
    let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 5)).unwrap();
    decompose(
        load("tiny_vit").unwrap(),
        &images,
        &DecomposeOptions::default(),
    )
    .unwrap()
}

fn scores() -> Scores {
    let clip = load_clip("tiny_clip").unwrap();
    let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 30)).unwrap();
    let c = decompose(&clip, &images, &DecomposeOptions::default()).unwrap();
    let alignment = align(
        &clip,
        &clip,
        &images,
        &DecomposeOptions::default(),
        &FitOptions::default(),
    );
    let aligned = alignment.unwrap().apply(&c).unwrap();
    aligned
        .score(class_embeddings(&clip, &["sea", "forest, dark"]).unwrap())
        .unwrap()
}

/// A folder, and a path in it.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        LazyLock::force(&CACHE);
        // What the charts test leaves is looked at with other tools; so is this, where it is asked for.
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        match std::env::var_os("VITREPL_EXPORTS") {
            Some(folder) => Path::new(&folder).join(name),
            None => self.0.path().join(name),
        }
    }
}

fn equal(a: &Tensor, b: &Tensor) -> bool {
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    a.dims() == b.dims() && flat(a) == flat(b)
}

fn parquet_rows(path: &std::path::Path) -> Vec<Row> {
    let file = std::fs::File::open(path).unwrap();
    let rows = SerializedFileReader::new(file).unwrap();
    let rows = rows.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap()).collect()
}

#[test]
fn arrays_as_npy_with_names_beside() {
    let (desk, c) = (Desk::new(), contributions());
    let path = desk.path("c.npy");
    c.export(&path).unwrap();
    assert!(equal(&Tensor::read_npy(&path).unwrap(), c.values()));
    let bytes = std::fs::read(&path).unwrap();
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    assert_eq!((10 + header) % 64, 0);
    assert_eq!(bytes.len(), 10 + header + 4 * 43 * 5 * 96);
    let about = std::fs::read_to_string(desk.path("c.npy.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    assert_eq!(
        about["axes"]["values"],
        json!(["component", "image", "channel"])
    );
    assert_eq!(about["component"][0], "init");
    assert_eq!(about["component"].as_array().unwrap().len(), 43);
    assert_eq!(about["image"], json!(["1:0", "1:1", "1:2", "1:3", "1:4"]));
    assert_eq!(about["model"], "tiny_vit");
    // A part, whose values do not lie together, and one axis.
    let part = c.select("* mlp").unwrap();
    part.export(&path).unwrap();
    assert!(equal(&Tensor::read_npy(&path).unwrap(), part.values()));
    c.means().unwrap().export(desk.path("means.npy")).unwrap();
    let means = Tensor::read_npy(desk.path("means.npy")).unwrap();
    assert!(equal(&means, &c.means().unwrap()));
}

#[test]
fn arrays_as_safetensors_with_names_in_the_header() {
    let (desk, c) = (Desk::new(), contributions());
    let path = desk.path("c.safetensors");
    c.export(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let header = header.metadata().clone().unwrap();
    let components: Vec<String> = serde_json::from_str(&header["component"]).unwrap();
    assert_eq!(components, c.names());
    assert_eq!(header["kind"], "contributions");
    let found = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    assert!(equal(&found["values"], c.values()));
    assert!(equal(&found["representation"], c.representation()));
    let clip = load_clip("tiny_clip").unwrap();
    let texts = class_embeddings(&clip, &["sea", "city"]).unwrap();
    texts.export(&path).unwrap();
    let found = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    assert!(equal(&found["values"], &texts));
    let head = score::zero_shot(&texts).unwrap();
    head.export(&path).unwrap();
    let found = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    assert!(equal(&found["weight"], head.weight()) && found.contains_key("bias"));
}

#[test]
fn rows_as_csv_and_parquet_in_full_precision() {
    let (desk, scores) = (Desk::new(), scores());
    scores.export(desk.path("scores.csv")).unwrap();
    let mut csv = csv::Reader::from_path(desk.path("scores.csv")).unwrap();
    let read: Vec<(String, f64)> = csv
        .records()
        .map(|row| row.unwrap())
        .map(|row| (row[0].to_string(), row[1].parse().unwrap()))
        .collect();
    let own: Vec<(String, f64)> = scores
        .names()
        .into_iter()
        .zip(scores.values().to_vec())
        .collect();
    assert_eq!(read, own);
    scores.export(desk.path("scores.parquet")).unwrap();
    let rows = parquet_rows(&desk.path("scores.parquet"));
    let read: Vec<(String, f64)> = rows
        .iter()
        .map(|row| {
            (
                row.get_string(0).unwrap().clone(),
                row.get_double(1).unwrap(),
            )
        })
        .collect();
    assert_eq!(read, own);
    assert_eq!(rows[0].get_string(3).unwrap(), "sea, forest, dark");
    let top = scores.top(3).unwrap();
    top.export(desk.path("top.parquet")).unwrap();
    let rows = parquet_rows(&desk.path("top.parquet"));
    assert_eq!(rows[2].get_long(0).unwrap(), 3);
    assert_eq!(rows[2].get_string(1).unwrap(), &top[2].name);
    assert_eq!(rows[2].get_long(2).unwrap(), top[2].index as i64);
    let group = |name: &str, correct, images| GroupCount {
        name: name.into(),
        correct,
        images,
    };
    let groups = GroupAccuracy {
        groups: vec![group("a, \"b\"", 1, 3), group("empty", 0, 0)],
    };
    groups.export(desk.path("groups.csv")).unwrap();
    let text = std::fs::read_to_string(desk.path("groups.csv")).unwrap();
    let expected =
        "group,correct,images,accuracy\n\"a, \"\"b\"\"\",1,3,0.3333333333333333\nempty,0,0,\n";
    assert_eq!(text, expected);
    groups.export(desk.path("groups.parquet")).unwrap();
    let rows = parquet_rows(&desk.path("groups.parquet"));
    assert_eq!(rows[0].get_double(3).unwrap(), 1.0 / 3.0);
    assert!(rows[1].get_double(3).is_err(), "no accuracy is no number");
}

#[test]
fn another_ending_is_refused_with_those_that_there_are() {
    let (desk, c) = (Desk::new(), contributions());
    let text = |result: Result<()>| result.unwrap_err().to_string();
    let found = text(c.export(desk.path("c.mat")));
    assert!(
        found.contains("c.mat") && found.contains(".npy or .safetensors"),
        "{found}"
    );
    let found = text(c.export(desk.path("c")));
    assert!(found.contains("without one"), "{found}");
    let found = text(scores().top(3).unwrap().export(desk.path("top.xlsx")));
    assert!(found.contains(".csv or .parquet"), "{found}");
    let found = text(scores().export(desk.path("scores.json")));
    assert!(
        found.contains(".safetensors or .csv or .parquet"),
        "{found}"
    );
    let found = text(scores().table().export(desk.path("t.doc")));
    assert!(
        found.contains("md") && found.contains("tex") && found.contains("pdf"),
        "{found}"
    );
    assert!(!desk.path("c.mat.json").exists());
}

#[test]
fn tables_as_markdown_and_latex() {
    let table = Table::new("Accuracy, 100 %")
        .columns(["model_a", "a|b"])
        .row(["x & y", "0.5 → 0.7"])
        .row(["$z^2$", "1"]);
    assert_eq!(
        table.markdown(),
        "**Accuracy, 100 %**\n\n| model_a | a\\|b |\n| --- | ---: |\n| x & y | 0.5 → 0.7 |\n| $z^2$ | 1 |\n"
    );
    let latex = table.latex();
    for part in [
        "\\caption{Accuracy, 100 \\%}",
        "\\begin{tabular}{lr}",
        "model\\_a & a$|$b \\\\\n\\midrule\n",
        "x \\& y & 0.5 $\\to$ 0.7 \\\\\n",
        "\\$z\\textasciicircum{}2\\$ & 1 \\\\\n\\bottomrule\n",
        "% needs \\usepackage{booktabs}",
    ] {
        assert!(latex.contains(part), "{part} is not in {latex}");
    }
    let desk = Desk::new();
    table.save(desk.path("t.tex")).unwrap();
    assert_eq!(std::fs::read_to_string(desk.path("t.tex")).unwrap(), latex);
    table.export(desk.path("t.md")).unwrap();
    assert_eq!(
        std::fs::read_to_string(desk.path("t.md")).unwrap(),
        table.markdown()
    );
}

#[test]
fn charts_as_pdf() {
    let desk = Desk::new();
    let bars = BarChart::new("Who carries the location? – Ünïcode", "variance attributed")
        .bar("block 5 head 3", 0.62)
        .bar("block 4 mlp", -0.31);
    bars.save(desk.path("bars.pdf")).unwrap();
    let lines =
        LineChart::new("k", "components", "accuracy").line("worst", [(0.0, 0.5), (1.0, 0.7)]);
    lines.save(desk.path("lines.pdf")).unwrap();
    let picture = image_of(20, 10);
    let map = Tensor::new(&[[0f32, 1.], [2., 3.]], &Device::Cpu).unwrap();
    let grid = HeatmapGrid::new("Tokens", "heat").tile(Tile::new(picture, "a").heat(&map).unwrap());
    grid.save(desk.path("heat.pdf")).unwrap();
    scores().table().save(desk.path("table.pdf")).unwrap();
    for (name, objects) in [
        ("bars.pdf", vec!["/FontFile2", "/Type0", "/ToUnicode"]),
        ("lines.pdf", vec!["/FontFile2"]),
        ("heat.pdf", vec!["/Subtype /Image", "/FlateDecode"]),
        ("table.pdf", vec!["DejaVuSans-Bold"]),
    ] {
        let bytes = std::fs::read(desk.path(name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("%PDF-1.") && text.trim_end().ends_with("%%EOF"));
        for object in objects {
            assert!(text.contains(object), "{object} is not in {name}");
        }
    }
    let empty = BarChart::new("nothing", "x").save(desk.path("empty.pdf"));
    assert!(empty.is_err() && !desk.path("empty.pdf").exists());
}

fn image_of(width: u32, height: u32) -> ::image::RgbImage {
    ::image::RgbImage::from_fn(width, height, |x, y| {
        ::image::Rgb([x as u8 * 9, y as u8 * 20, 90])
    })
}
