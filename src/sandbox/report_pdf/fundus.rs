//! A picture of a retina that nobody has: drawn in whole numbers, so that it is the same on every machine.

use super::Dice;

/// Red, green and blue of every pixel, row by row, `side` × `side`.
pub(super) fn picture(dice: &mut Dice, side: u32, right_eye: bool) -> Vec<u8> {
    let side = i64::from(side.max(8));
    let mut shade = vec![0u8; usize::try_from(side * side).unwrap_or(0)];
    let disc = (if right_eye { side * 7 / 10 } else { side * 3 / 10 }, side / 2);
    vessels(dice, &mut shade, side, disc, right_eye);
    let mut pixels = Vec::with_capacity(shade.len() * 3);
    let radius = side * 48 / 100;
    for y in 0..side {
        for x in 0..side {
            let from = |(cx, cy): (i64, i64)| (x - cx).pow(2) + (y - cy).pow(2);
            let middle = from((side / 2, side / 2));
            // The noise of a real camera: without it the picture would compress to nothing.
            let noise = i64::from(dice.below(22)) - 11;
            if middle > radius.pow(2) {
                pixels.extend([noise / 6, noise / 6, noise / 6].map(tone));
                continue;
            }
            let falloff = 70 * middle / radius.pow(2);
            let glow = 140 - (140 * from(disc) / (side / 11).pow(2).max(1)).min(140);
            let fovea = 45 - (45 * from((side - disc.0 - side / 20, side / 2)) / (side / 12).pow(2).max(1)).min(45);
            let dark = i64::from(shade[usize::try_from(y * side + x).unwrap_or(0)]);
            let red = 205 - falloff + glow / 3 - fovea - dark / 2;
            let green = 95 - falloff / 2 + glow - fovea - dark * 3 / 4;
            let blue = 45 - falloff / 3 + glow * 2 / 3 - fovea / 2 - dark / 3;
            pixels.extend([red + noise, green + noise, blue + noise].map(tone));
        }
    }
    pixels
}

fn tone(value: i64) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(0)
}

/// Four arcades leave the disc and bend round the fovea, with twigs.
fn vessels(dice: &mut Dice, shade: &mut [u8], side: i64, disc: (i64, i64), right_eye: bool) {
    let toward = if right_eye { -1 } else { 1 };
    for (up, bend) in [(-1, 34), (1, 34), (-1, 12), (1, 12)] {
        for twig in 0..4i64 {
            let reach = side * (62 - 11 * twig) / 100;
            let jitter = i64::from(dice.below(9)) - 4;
            let lean = if bend == 12 { -toward } else { toward };
            let width = (side / 110 - twig / 2).max(1);
            for step in 0..=reach {
                let rise = side * (bend + jitter + 4 * twig) / 100;
                let x = disc.0 + lean * step * (90 + 3 * twig) / 100;
                // A parabola: out quickly, then along.
                let y = disc.1 + up * (rise * step * (2 * reach - step)) / reach.pow(2).max(1);
                stamp(shade, side, (x, y), width);
            }
        }
    }
}

fn stamp(shade: &mut [u8], side: i64, (x, y): (i64, i64), width: i64) {
    for row in y - width..=y + width {
        for column in x - width..=x + width {
            let inside = (0..side).contains(&row) && (0..side).contains(&column);
            if inside && (row - y).pow(2) + (column - x).pow(2) <= width.pow(2) {
                shade[usize::try_from(row * side + column).unwrap_or(0)] = 90;
            }
        }
    }
}
