/* Random training views, bit for bit as Pillow makes them: bicubic crop, colour jitter, gray.
 *
 * Pixels are 8-bit. Every rounding between two operations is Pillow's own, so this must be
 * compiled without contraction of multiplications and additions (-ffp-contract=off).
 * GCC compiles `view` twice on Linux for x86-64, with and without AVX2, and the processor decides
 * which one runs: a wheel never has instructions that another machine lacks.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define HUES 32
#define CHUNK 64
#define PRECISION 22 /* bits of a weight, as in Pillow's resampling of 8-bit pixels */

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((flatten, target_clones("arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* Source pixels that one output pixel is made of, and their weights. */
typedef struct {
    int first, count;
    int32_t *weights;
} Taps;

static double bicubic(double x) {
    const double a = -0.5;
    x = x < 0.0 ? -x : x;
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static int longest_taps(int in, int out) {
    double scale = (double)in / out;
    return (int)ceil(2.0 * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
}

static void make_taps(int in, int out, Taps *taps, int32_t *weights, double *exact) {
    const double scale = (double)in / out, filter_scale = scale < 1.0 ? 1.0 : scale;
    const double support = 2.0 * filter_scale, inverse = 1.0 / filter_scale;
    const int longest = longest_taps(in, out);
    for (int x = 0; x < out; x++) {
        double center = (x + 0.5) * scale, sum = 0.0;
        int first = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
        if (first < 0) first = 0;
        if (end > in) end = in;
        Taps *one = &taps[x];
        *one = (Taps){first, end - first, weights + (size_t)x * longest};
        for (int i = 0; i < one->count; i++) {
            exact[i] = bicubic((i + first - center + 0.5) * inverse);
            sum += exact[i];
        }
        for (int i = 0; i < one->count; i++) {
            double weight = sum != 0.0 ? exact[i] / sum : exact[i];
            one->weights[i] = (int)((weight < 0 ? -0.5 : 0.5) + weight * (1 << PRECISION));
        }
    }
}

static inline uint8_t clipped(int32_t sum) {
    int32_t value = sum >> PRECISION;
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* Row r, column c of a 16 x 16 block goes to row c, column r. */
static inline void transpose(const uint8_t *in, size_t in_stride, uint8_t *out, size_t out_stride) {
    bytes16 a[LANES], b[LANES];
    for (int i = 0; i < LANES; i++) memcpy(&a[i], in + i * in_stride, LANES);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = __builtin_shufflevector(a[i], a[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        for (int i = 0; i < 8; i++) {
            a[2 * i] = __builtin_shufflevector(b[i], b[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            a[2 * i + 1] = __builtin_shufflevector(b[i], b[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
    }
    for (int i = 0; i < LANES; i++) memcpy(out + i * out_stride, &a[i], LANES);
}

/* 16 rows of `width` RGB pixels -> 16 rows of three planes of `size` values. */
static void resize_rows(const uint8_t *in, size_t stride, int width, const Taps *taps, int size,
                        uint8_t *columns, uint8_t *narrow, uint8_t *out, size_t out_stride) {
    const int values = 3 * width;
    for (int j = 0; j < values; j += LANES) {
        int at = j + LANES <= values ? j : values - LANES;
        transpose(in + at, stride, columns + (size_t)at * LANES, LANES);
    }
    for (int x = 0; x < size; x++) {
        int32_t sums[3 * LANES];
        for (int i = 0; i < 3 * LANES; i++) sums[i] = 1 << (PRECISION - 1);
        const uint8_t *from = columns + (size_t)taps[x].first * 3 * LANES;
        for (int t = 0; t < taps[x].count; t++, from += 3 * LANES) {
            const int32_t weight = taps[x].weights[t];
            for (int i = 0; i < 3 * LANES; i++) sums[i] += weight * from[i];
        }
        for (int c = 0; c < 3; c++) {
            uint8_t *to = narrow + (size_t)(c * size + x) * LANES;
            for (int i = 0; i < LANES; i++) to[i] = clipped(sums[c * LANES + i]);
        }
    }
    for (int j = 0; j < 3 * size; j += LANES) transpose(narrow + (size_t)j * LANES, LANES, out + j, out_stride);
}

/* Resize columns: rows of `values` values each -> `size` rows. */
static void resize_columns(const uint8_t *in, size_t in_stride, int values, const Taps *taps, int size,
                           uint8_t *out, size_t out_stride) {
    for (int y = 0; y < size; y++, out += out_stride)
        for (int j = 0; j < values; j += CHUNK) {
            const int at = j + CHUNK <= values ? j : values - CHUNK;
            const uint8_t *from = in + taps[y].first * in_stride + at;
            int32_t sums[CHUNK];
            for (int i = 0; i < CHUNK; i++) sums[i] = 1 << (PRECISION - 1);
            for (int t = 0; t < taps[y].count; t++, from += in_stride) {
                const int32_t weight = taps[y].weights[t];
                for (int i = 0; i < CHUNK; i++) sums[i] += weight * from[i];
            }
            for (int i = 0; i < CHUNK; i++) out[at + i] = clipped(sums[i]);
        }
}

static inline uint8_t blended(int from, int to, float factor) {
    float value = (float)from + factor * (float)(to - from);
    value = value < 0.0f ? 0.0f : value;
    return (uint8_t)(int)(value > 255.0f ? 255.0f : value);
}

static inline int luma(int red, int green, int blue) {
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
}

static void blend_with(uint8_t *values, int count, int constant, float factor) {
    for (int i = 0; i < count; i++) values[i] = blended(constant, values[i], factor);
}

static void saturate(uint8_t *red, uint8_t *green, uint8_t *blue, int count, float factor) {
    for (int i = 0; i < count; i++) {
        int gray = luma(red[i], green[i], blue[i]);
        red[i] = blended(gray, red[i], factor);
        green[i] = blended(gray, green[i], factor);
        blue[i] = blended(gray, blue[i], factor);
    }
}

/* One channel of a colour; `angle` in 1530ths of a turn, below 2 turns. */
static inline int from_hue(int angle, int saturation, int value) {
    const int rest = angle >= 1530 ? angle - 1530 : angle;
    const int rising = rest < 1020 - rest ? rest : 1020 - rest;
    const int up = rising < 255 ? rising : 255, share = up > 0 ? up : 0;
    return (2 * value * (65025 - saturation * share) + 65025) / 130050;
}

/* Shift the hue of 32 pixels, each value in 32 bits, by `shift` 256ths of a turn, through 8-bit HSV.
 *
 * The conversion from HSV uses integers, with equal rounding for all inputs. The conversion to HSV
 * mixes single and double precision as Pillow does, because some hues are on the edge of a step.
 * Both were compared with Pillow for all 2^24 inputs. There are no branches, so it is vectorised.
 */
static inline void shift_hues(int *restrict red, int *restrict green, int *restrict blue, int shift) {
    for (int i = 0; i < HUES; i++) {
        const int r = red[i], g = green[i], b = blue[i];
        int high = r > g ? r : g, low = r < g ? r : g;
        high = high > b ? high : b;
        low = low < b ? low : b;
        const int range = high - low;
        const int saturation = (int)((float)range / (float)(high + (high == 0)) * 255.0f);
        const int start = r == high ? 0 : g == high ? 2 : 4;
        const int plus = r == high ? high - b : g == high ? high - r : high - g;
        const int minus = r == high ? high - g : g == high ? high - b : high - r;
        const float width = (float)(range + (range == 0));
        const double first = (float)plus / width, second = (float)minus / width;
        const double turned = (float)(start + first - second) * (1.0 / 6.0) + 1.0;
        const float turn = (float)(turned >= 1.0 ? turned - 1.0 : turned);
        const int step = (int)(float)(turn * 255.0), hue = ((range ? step : 0) + shift) & 255;
        red[i] = from_hue(6 * hue + 5 * 255, saturation, high);
        green[i] = from_hue(6 * hue + 3 * 255, saturation, high);
        blue[i] = from_hue(6 * hue + 1 * 255, saturation, high);
    }
}

static inline void shift_some(uint8_t *red, uint8_t *green, uint8_t *blue, int count, int shift) {
    int r[HUES] = {0}, g[HUES] = {0}, b[HUES] = {0};
    for (int i = 0; i < count; i++) r[i] = red[i], g[i] = green[i], b[i] = blue[i];
    shift_hues(r, g, b, shift);
    for (int i = 0; i < count; i++) red[i] = r[i], green[i] = g[i], blue[i] = b[i];
}

static void shift_hue(uint8_t *red, uint8_t *green, uint8_t *blue, int count, int shift) {
    int x = 0;
    for (; x + HUES <= count; x += HUES) shift_some(red + x, green + x, blue + x, HUES, shift);
    if (x < count) shift_some(red + x, green + x, blue + x, count - x, shift);
}

static int mean_luma(const uint8_t *image, size_t stride, int size) {
    int64_t sum = 0;
    for (int y = 0; y < size; y++, image += stride) {
        int row = 0;
        for (int x = 0; x < size; x++) row += luma(image[x], image[size + x], image[2 * size + x]);
        sum += row;
    }
    return (int)((double)sum / ((double)size * size) + 0.5);
}

/* One change of colours: 0 brightness, 1 contrast, 2 saturation, 3 hue, 4 gray. */
static void change(uint8_t *image, size_t stride, int size, int kind, double amount) {
    const int mean = kind == 1 ? mean_luma(image, stride, size) : 0;
    for (int y = 0; y < size; y++, image += stride) {
        uint8_t *red = image, *green = image + size, *blue = image + 2 * size;
        if (kind <= 1) blend_with(image, 3 * size, mean, (float)amount);
        if (kind == 2) saturate(red, green, blue, size, (float)amount);
        if (kind == 3) shift_hue(red, green, blue, size, (int)amount);
        if (kind == 4)
            for (int x = 0; x < size; x++) red[x] = green[x] = blue[x] = luma(red[x], green[x], blue[x]);
    }
}

/* Resize all rows of the box to `size` values in each of three planes. */
static void resize_all_rows(const uint8_t *pixels, size_t stride, int width, int height, const Taps *taps,
                            int size, uint8_t *scratch, uint8_t *out, size_t out_stride) {
    uint8_t *columns = scratch, *last = columns + (size_t)3 * width * LANES;
    uint8_t *narrow = last + (size_t)3 * width * LANES;
    for (int y = 0; y < height; y += LANES) {
        const uint8_t *in = pixels + y * stride;
        size_t step = stride;
        if (height - y < LANES) {
            step = (size_t)3 * width;
            memset(last, 0, step * LANES);
            for (int i = 0; i < height - y; i++) memcpy(last + i * step, in + i * stride, step);
            in = last;
        }
        resize_rows(in, step, width, taps, size, columns, narrow, out + y * out_stride, out_stride);
    }
}

static void look_up(const uint8_t *restrict plane, size_t stride, int size, const float *restrict scaled,
                    float *restrict out) {
    for (int y = 0; y < size; y++, plane += stride, out += size)
        for (int x = 0; x < size; x++) out[x] = scaled[plane[x]];
}

static size_t rounded_up(size_t value) { return (value + CHUNK - 1) / CHUNK * CHUNK; }

/* Make the view of the box of `width` x `height` RGB pixels at `pixels`, whose rows are `stride` apart.
 *
 * The crop is resized to `size` x `size`; then `changes` colour changes are applied, each of a kind
 * and by an amount; then each value is looked up in `scaled`, 256 values for each of three channels,
 * and written to `out`, three planes of `size` x `size`. With `tall_first`, heights are resized before
 * widths if they shrink far more, as in new versions of Pillow. Returns 0, or 1 for a narrow box or
 * without memory.
 */
FOR_EACH_PROCESSOR
int view(const uint8_t *pixels, int64_t stride, int width, int height, int size, int tall_first,
         int changes, const int32_t *kinds, const double *amounts, const float *scaled, float *out) {
    if (3 * width < CHUNK || 3 * size < CHUNK) return 1;
    const int columns_first = tall_first && height > size && height - size > 2 * (width - size);
    const int across = longest_taps(width, size), down = longest_taps(height, size);
    const size_t row = rounded_up(3 * size), rows = rounded_up(height > size ? height : size);
    const size_t middle = columns_first ? (size_t)3 * width * size : rows * row;
    const size_t scratch = ((size_t)6 * width + row) * LANES;
    const size_t weights = (size_t)size * (across + down);
    double *memory = malloc(sizeof(double) * (across + down) + sizeof(Taps) * 2 * size +
                            sizeof(int32_t) * weights + middle + row * rounded_up(size) + scratch);
    if (!memory) return 1;
    Taps *taps = (Taps *)(memory + across + down);
    int32_t *weight = (int32_t *)(taps + 2 * size);
    uint8_t *between = (uint8_t *)(weight + weights), *image = between + middle;
    uint8_t *rest = image + row * rounded_up(size);
    make_taps(width, size, taps, weight, memory);
    make_taps(height, size, taps + size, weight + (size_t)size * across, memory);
    if (columns_first) {
        resize_columns(pixels, stride, 3 * width, taps + size, size, between, (size_t)3 * width);
        resize_all_rows(between, (size_t)3 * width, width, size, taps, size, rest, image, row);
    } else {
        resize_all_rows(pixels, stride, width, height, taps, size, rest, between, row);
        resize_columns(between, row, 3 * size, taps + size, size, image, row);
    }
    for (int i = 0; i < changes; i++) change(image, row, size, kinds[i], amounts[i]);
    for (int c = 0; c < 3; c++)
        look_up(image + c * size, row, size, scaled + 256 * c, out + (size_t)c * size * size);
    free(memory);
    return 0;
}
