// Depthwise convolution of channels-last images: each thread has one channel of one result.
//
// x: images x height x width x channels; weight: kernel * kernel x channels, tap by tap; out: images x rows x columns x
// channels. Result (y, x) begins at input (y * stride - before, x * stride - before); what lies outside is 0.
extern "C" __global__ void depthwise(
    const float *x, const float *weight, float *out,
    unsigned long long results, unsigned int height, unsigned int width, unsigned int channels,
    unsigned int rows, unsigned int columns, unsigned int kernel, unsigned int stride, unsigned int before)
{
    unsigned long long at = blockIdx.x * (unsigned long long) blockDim.x + threadIdx.x;
    if (at >= results) return;
    unsigned int channel = at % channels;
    unsigned int column = at / channels % columns;
    unsigned int row = at / channels / columns % rows;
    unsigned long long image = at / channels / columns / rows;
    float sum = 0.0f;
    for (unsigned int i = 0; i < kernel; i++) {
        long long y = (long long) row * stride + i - before;
        if (y < 0 || y >= height) continue;
        for (unsigned int j = 0; j < kernel; j++) {
            long long column_in = (long long) column * stride + j - before;
            if (column_in < 0 || column_in >= width) continue;
            unsigned long long from = ((image * height + y) * width + column_in) * channels + channel;
            sum += x[from] * weight[(i * kernel + j) * channels + channel];
        }
    }
    out[at] = sum;
}
