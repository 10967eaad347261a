package gojs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is a JavaScript value: nil is undefined; the others are null, bool, float64, string, *symbol and *object.
type value any

// null is the value of that name.
type null struct{}

// symbol is a value that is like no other.
type symbol struct{ description string }

// exception is a value that was thrown. The guest gets it as a js.Error.
type exception struct{ thrown value }

func (e *exception) Error() string {
	if o, ok := e.thrown.(*object); ok {
		if message, ok := o.get("message").(string); ok {
			return message
		}
	}
	return fmt.Sprintf("exception of type %s", typeOf(e.thrown))
}

// typeOf is what JavaScript's typeof gives.
func typeOf(v value) string {
	switch v := v.(type) {
	case nil:
		return "undefined"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case *symbol:
		return "symbol"
	case *object:
		if _, ok := v.slot.(*function); ok {
			return "function"
		}
	}
	return "object"
}

// wellFormed replaces what is not UTF-8, as a decoder of JavaScript does.
func wellFormed(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// toInteger converts a number as array indexes and sizes are: NaN is 0, what does not fit is the nearest that does.
func toInteger(v value) int64 {
	f, ok := v.(float64)
	switch {
	case !ok || math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

// toUint32 converts a number as bit operations do.
func toUint32(v value) uint32 {
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return uint32(int64(math.Mod(math.Trunc(f), 1<<32)))
}

// formatNumber writes a number as JavaScript does.
//
// See https://tc39.es/ecma262/#sec-numeric-types-number-tostring
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	}
	if size := math.Abs(f); size >= 1e-6 && size < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	return digits + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}

// toString is what String(v) gives.
func (g *guest) toString(v value) (string, error) {
	switch v := v.(type) {
	case nil:
		return "undefined", nil
	case null:
		return "null", nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return formatNumber(v), nil
	case string:
		return v, nil
	case *symbol:
		return "Symbol(" + v.description + ")", nil
	}
	result, err := g.callMethod(v, "toString")
	if err != nil {
		return "", err
	}
	s, ok := result.(string)
	if !ok {
		return "", g.typeError("Cannot convert object to primitive value")
	}
	return s, nil
}
