package wasmer

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// cliParseArguments reads the words as values of the parameters' types.
func cliParseArguments(name string, typ FunctionType, words []string) ([]any, error) {
	if len(words) != len(typ.Params) {
		return nil, cliUsagef("%q is given %s, but takes %d: %s", name, cliCount(len(words), "argument"), len(typ.Params), typ)
	}
	args := make([]any, len(words))
	for i, word := range words {
		v, err := cliParseValue(word, typ.Params[i])
		if err != nil {
			return nil, cliUsagef("argument %d of %q: %v", i+1, name, err)
		}
		args[i] = v
	}
	return args, nil
}

func cliCount(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func cliParseValue(word string, t ValueType) (Value, error) {
	var v Value
	var err error
	switch t {
	case ValueTypeI32:
		var bits uint64
		bits, err = cliParseInteger(word, 32)
		v = I32(int32(bits))
	case ValueTypeI64:
		var bits uint64
		bits, err = cliParseInteger(word, 64)
		v = I64(int64(bits))
	case ValueTypeF32:
		var f float64
		f, err = cliParseFloat(word, 32)
		v = F32(float32(f))
	case ValueTypeF64:
		var f float64
		f, err = cliParseFloat(word, 64)
		v = F64(f)
	case ValueTypeV128:
		v, err = cliParseVector(word)
	default:
		return v, fmt.Errorf("a parameter of type %s cannot be given on the command line", t)
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return v, fmt.Errorf("%s is out of the range of %s", word, t)
	case err != nil:
		return v, fmt.Errorf("%q is not of type %s", word, t)
	}
	return v, nil
}

// cliParseInteger reads a signed or unsigned number. Unlike in Go, a leading 0 does not make it octal.
func cliParseInteger(word string, size uint) (uint64, error) {
	digits, negative := cliSign(word)
	base := 10
	if hex, ok := cliCutHex(digits); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	switch {
	case err != nil:
		return 0, err
	case negative && n > 1<<(size-1), n > math.MaxUint64>>(64-size):
		return 0, strconv.ErrRange
	case negative:
		n = -n
	}
	return n, nil
}

func cliParseFloat(word string, size int) (float64, error) {
	digits, negative := cliSign(word)
	if strings.EqualFold(digits, "nan") {
		// Go's NaN is not the canonical one of WebAssembly, and Go knows none with a sign.
		bits := uint64(0x7ff8 << 48)
		if negative {
			bits |= 1 << 63
		}
		return math.Float64frombits(bits), nil
	}
	if strings.Contains(digits, "_") {
		return 0, strconv.ErrSyntax // which Go allows, for integers too; here neither is
	}
	if _, ok := cliCutHex(digits); ok && !strings.ContainsAny(digits, "pP") {
		word += "p0"
	}
	return strconv.ParseFloat(word, size)
}

func cliParseVector(word string) (Value, error) {
	digits, ok := cliCutHex(word)
	if !ok {
		return Value{}, strconv.ErrSyntax
	}
	if digits = strings.TrimLeft(digits, "0"); len(digits) > 32 {
		return Value{}, strconv.ErrRange
	}
	digits = strings.Repeat("0", 32-len(digits)) + digits
	hi, err1 := strconv.ParseUint(digits[:16], 16, 64)
	lo, err2 := strconv.ParseUint(digits[16:], 16, 64)
	return V128(lo, hi), errors.Join(err1, err2)
}

func cliSign(word string) (digits string, negative bool) {
	if digits, ok := strings.CutPrefix(word, "-"); ok {
		return digits, true
	}
	return strings.TrimPrefix(word, "+"), false
}

func cliCutHex(word string) (string, bool) {
	if len(word) > 2 && (word[:2] == "0x" || word[:2] == "0X") {
		return word[2:], true
	}
	return word, false
}

func cliFormatValue(v Value) string {
	switch v.Type() {
	case ValueTypeF32:
		return strconv.FormatFloat(float64(v.ToF32()), 'g', -1, 32)
	case ValueTypeF64:
		return strconv.FormatFloat(v.ToF64(), 'g', -1, 64)
	}
	return v.String()
}
