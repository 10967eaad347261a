package crypto

// errno is crypto_errno, what each function answers with.
type errno uint32

const (
	success errno = iota
	_             // guest_error
	_             // not_implemented
	unsupportedFeature
	_ // prohibited_operation
	unsupportedEncoding
	unsupportedAlgorithm
	unsupportedOption
	invalidKey
	invalidLength
	verificationFailed
	_ // rng_error: Go's generator does not fail
	algorithmFailure
	invalidSignature
	closed
	invalidHandle
	overflow
	_ // internal_error
	tooManyHandles
	keyNotSupported
	keyRequired
	invalidTag
	invalidOperation
	nonceRequired
	invalidNonce
	optionNotSet
	_ // not_found
	_ // parameters_missing
	_ // in_progress
	incompatibleKeys
	_ // expired
)
