package suite

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatches(t *testing.T) {
	const quiet32, quiet64 = 0x7fc0_0000, 0x7ff8_0000_0000_0000
	for _, c := range []struct {
		pattern string
		value   Value
		want    bool
	}{
		{`{"type": "i32", "value": "-1"}`, Value{Type: "i32", Lo: math.MaxUint32}, true},
		{`{"type": "i32", "value": "-1"}`, Value{Type: "i64", Lo: math.MaxUint32}, false},
		{`{"type": "i64", "value": "-1"}`, Value{Type: "i64", Lo: math.MaxUint64}, true},
		{`{"type": "f32", "value": "2147483648"}`, Value{Type: "f32", Lo: 1 << 31}, true},
		{`{"type": "f32", "value": "2147483648"}`, Value{Type: "f32", Lo: 0}, false},
		{`{"type": "f32", "value": "nan:canonical"}`, Value{Type: "f32", Lo: quiet32}, true},
		{`{"type": "f32", "value": "nan:canonical"}`, Value{Type: "f32", Lo: quiet32 | 1<<31}, true},
		{`{"type": "f32", "value": "nan:canonical"}`, Value{Type: "f32", Lo: quiet32 | 1}, false},
		{`{"type": "f32", "value": "nan:arithmetic"}`, Value{Type: "f32", Lo: quiet32 | 1}, true},
		{`{"type": "f32", "value": "nan:arithmetic"}`, Value{Type: "f32", Lo: 0x7fa0_0000}, false},
		{`{"type": "f64", "value": "nan:canonical"}`, Value{Type: "f64", Lo: quiet64 | 1<<63}, true},
		{`{"type": "f64", "value": "nan:arithmetic"}`, Value{Type: "f64", Lo: 0x7ff4 << 48}, false},
		{`{"type": "v128", "lane_type": "i16", "value": ["1", "0", "0", "0", "0", "0", "0", "-2"]}`,
			Value{Type: "v128", Lo: 1, Hi: 0xfffe << 48}, true},
		{`{"type": "v128", "lane_type": "f32", "value": ["nan:canonical", "0", "nan:arithmetic", "0"]}`,
			Value{Type: "v128", Lo: quiet32, Hi: quiet32 | 7}, true},
		{`{"type": "v128", "lane_type": "f64", "value": ["nan:canonical", "0"]}`, Value{Type: "v128"}, false},
		{`{"type": "either", "values": [{"type": "i32", "value": "1"}, {"type": "i32", "value": "2"}]}`,
			Value{Type: "i32", Lo: 2}, true},
		{`{"type": "either", "values": [{"type": "i32", "value": "1"}]}`, Value{Type: "i32", Lo: 2}, false},
		{`{"type": "externref", "value": "7"}`, Value{Type: "externref", Lo: 7}, true},
		{`{"type": "externref", "value": "0"}`, Value{Type: "externref", Null: true}, false},
		{`{"type": "externref", "value": "null"}`, Value{Type: "externref", Null: true}, true},
		{`{"type": "externref"}`, Value{Type: "externref", Opaque: true}, true},
		{`{"type": "funcref"}`, Value{Type: "funcref", Null: true}, false},
		{`{"type": "refnull"}`, Value{Type: "funcref", Null: true}, true},
		{`{"type": "refnull"}`, Value{Type: "funcref", Opaque: true}, false},
	} {
		var pattern Const
		require.NoError(t, json.Unmarshal([]byte(c.pattern), &pattern))
		got, err := pattern.matches(c.value)
		require.NoError(t, err, c.pattern)
		require.Equal(t, c.want, got, "%s with %v", c.pattern, c.value)
	}
}
