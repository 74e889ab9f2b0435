using System.Reflection;

namespace Harbour.Foundation;

/// <summary>
/// The catalogue of refusals, the only place where a code, its status and its words are written. <c>docs/errors.md</c> is made from
/// it. In a text, <c>{param}</c> is the field meant and <c>{0}</c> and so on are the arguments of the occurrence.
/// </summary>
public static class Errors
{
    // 400: the request cannot be read.
    public static readonly Error MalformedJson = new("malformed_json", 400,
        new("The body is not valid JSON", "請求內容不是有效的 JSON"),
        new("the body must be one JSON object in UTF-8, without duplicate names: {0}", "請求內容必須是一個以 UTF-8 編碼、沒有重複名稱的 JSON 物件：{0}"));
    public static readonly Error MalformedRequest = new("malformed_request", 400,
        new("The request cannot be read", "無法讀取請求"),
        new("the request breaks the rules of HTTP, or ended before its body was complete", "請求不符合 HTTP 規則，或在內容完整之前中斷"));
    public static readonly Error IdempotencyKeyRequired = new("idempotency_key_required", 400,
        new("An Idempotency-Key is required", "必須提供 Idempotency-Key"),
        new("send an Idempotency-Key header: a new value for each new payment, the same value when you try again", "請提供 Idempotency-Key 標頭：每筆新付款使用新值，重試時使用相同的值"));
    public static readonly Error InvalidHeader = new("invalid_header", 400,
        new("A header is not valid", "標頭無效"),
        new("{param} {0}", "{param} 標頭的內容不符合規定"));

    // 401: who is calling?
    public static readonly Error AuthenticationRequired = new("authentication_required", 401,
        new("Authentication is required", "必須通過身份驗證"),
        new("send Authorization: Bearer with an API key or an access token", "請以 Authorization: Bearer 提供 API 密鑰或存取權杖"));
    public static readonly Error InvalidCredential = new("invalid_credential", 401,
        new("The credential is not valid", "憑證無效"),
        new("the API key or access token is unknown, revoked or forged", "API 密鑰或存取權杖不存在、已被撤銷或屬偽造"));
    public static readonly Error ExpiredToken = new("expired_token", 401,
        new("The credential has expired", "憑證已過期"),
        new("get a new access token from POST /oauth/token", "請透過 POST /oauth/token 取得新的存取權杖"));

    // 402: the provider refused; the charge exists and is failed.
    public static readonly Error CardDeclined = new("card_declined", 402,
        new("The card was declined", "信用卡被拒"),
        new("the card's issuer declined the payment; ask the customer for another card", "發卡機構拒絕了這筆付款，請客戶使用另一張卡"));
    public static readonly Error ExpiredCard = new("expired_card", 402,
        new("The card has expired", "信用卡已過期"),
        new("the card has expired; ask the customer for another card", "信用卡已過期，請客戶使用另一張卡"));
    public static readonly Error IncorrectCvc = new("incorrect_cvc", 402,
        new("The card's security code is wrong", "信用卡安全碼不正確"),
        new("the security code was not accepted; ask the customer to enter the card again", "安全碼未獲接納，請客戶重新輸入信用卡資料"));
    public static readonly Error ProcessingError = new("processing_error", 402,
        new("The card could not be processed", "信用卡未能處理"),
        new("the card network could not process the payment; try again with a new charge", "信用卡網絡未能處理這筆付款，請以新的收款再試"));
    public static readonly Error CardAuthenticationRequired = new("card_authentication_required", 402,
        new("The card's issuer wants the payer to authenticate", "發卡機構要求付款人驗證身份"),
        new("the payment was refused because the payer did not authenticate", "付款人沒有完成身份驗證，付款被拒"));
    public static readonly Error PaymentMethodInvalid = new("payment_method_invalid", 402,
        new("The payment method cannot be used", "付款方式無法使用"),
        new("the provider does not know this payment method token, or it was used already", "支付機構不認識這個付款方式權杖，或它已被使用"));
    public static readonly Error ProviderRefused = new("provider_refused", 402,
        new("The provider refused the payment", "支付機構拒絕了這筆付款"),
        new("the provider refused the payment as it was requested", "支付機構拒絕了這筆付款的請求"));
    public static readonly Error NotProcessed = new("not_processed", 402,
        new("The payment never reached the provider", "付款沒有到達支付機構"),
        new("the provider never received the payment, so nothing was taken; make a new charge", "支付機構從未收到這筆付款，沒有扣款；請建立新的收款"));

    // 403: known, but not allowed.
    public static readonly Error InsufficientScope = new("insufficient_scope", 403,
        new("The credential lacks a scope", "憑證權限不足"),
        new("this needs the scope {0}", "這項操作需要 {0} 權限"));
    public static readonly Error IpNotAllowed = new("ip_not_allowed", 403,
        new("The address is not on the allow-list", "IP 地址不在允許名單內"),
        new("calls with this credential are not allowed from this address", "不允許從這個地址使用此憑證"));
    public static readonly Error MerchantSuspended = new("merchant_suspended", 403,
        new("The merchant is suspended", "商戶已被暫停"),
        new("the merchant account is suspended; contact support", "商戶帳戶已被暫停，請聯絡客戶服務"));
    public static readonly Error RiskBlocked = new("risk_blocked", 403,
        new("The payment was blocked as too risky", "付款因風險過高被攔截"),
        new("the risk rules blocked this payment", "風險規則攔截了這筆付款"));

    // 404 and 405.
    public static readonly Error RouteNotFound = new("route_not_found", 404,
        new("There is nothing at this address", "此地址沒有內容"),
        new("no route has this path", "沒有與此路徑相符的路由"));
    public static readonly Error ChargeNotFound = new("charge_not_found", 404,
        new("There is no such charge", "沒有這筆收款"),
        new("no charge with this id exists in this mode", "在此模式下沒有這個編號的收款"));
    public static readonly Error RefundNotFound = new("refund_not_found", 404,
        new("There is no such refund", "沒有這筆退款"),
        new("no refund with this id exists in this mode", "在此模式下沒有這個編號的退款"));
    public static readonly Error CustomerNotFound = new("customer_not_found", 404,
        new("There is no such customer", "沒有這位客戶"),
        new("no customer with this id exists in this mode", "在此模式下沒有這個編號的客戶"));
    public static readonly Error MandateNotFound = new("mandate_not_found", 404,
        new("There is no such mandate", "沒有這份授權"),
        new("no mandate with this id exists in this mode", "在此模式下沒有這個編號的授權"));
    public static readonly Error QuoteNotFound = new("quote_not_found", 404,
        new("There is no such quote", "沒有這個報價"),
        new("no quote with this id exists in this mode", "在此模式下沒有這個編號的報價"));
    public static readonly Error WebhookEndpointNotFound = new("webhook_endpoint_not_found", 404,
        new("There is no such webhook endpoint", "沒有這個 Webhook 端點"),
        new("no webhook endpoint with this id exists in this mode", "在此模式下沒有這個編號的 Webhook 端點"));
    public static readonly Error EventNotFound = new("event_not_found", 404,
        new("There is no such event", "沒有這個事件"),
        new("no event with this id exists in this mode", "在此模式下沒有這個編號的事件"));
    public static readonly Error SubscriptionNotFound = new("subscription_not_found", 404,
        new("There is no such subscription", "沒有這個訂閱"),
        new("no subscription with this id exists in this mode", "在此模式下沒有這個編號的訂閱"));
    public static readonly Error RequestNotFound = new("request_not_found", 404,
        new("There is no such request", "沒有這個請求"),
        new("no request with this id was made in this mode", "在此模式下沒有以這個編號發出的請求"));
    public static readonly Error MethodNotAllowed = new("method_not_allowed", 405,
        new("The method is not allowed here", "此地址不接受這個方法"),
        new("this path takes {0}", "此路徑只接受 {0}"));

    // 409: another request is in the way.
    public static readonly Error IdempotencyKeyInUse = new("idempotency_key_in_use", 409,
        new("The first request with this key is still running", "使用此鍵的首個請求仍在處理"),
        new("try again in a moment with the same key", "請稍後以相同的鍵再試"), Retryable: true);
    public static readonly Error InvalidTransition = new("invalid_transition", 409,
        new("The object's status does not allow this", "物件目前的狀態不允許這項操作"),
        new("a {0} that is {1} cannot be {2}", "{0} 目前為 {1}，不能執行 {2}"));
    public static readonly Error MandateNotActive = new("mandate_not_active", 409,
        new("The mandate cannot be charged", "此授權不能用於收款"),
        new("a mandate that is {0} cannot be charged; ask the customer for a new one", "授權目前為 {0}，不能用於收款，請客戶重新授權"));
    public static readonly Error ConcurrentUpdate = new("concurrent_update", 409,
        new("The object is being changed by other requests", "物件正被其他請求更改"),
        new("too many requests change this object at once; try again with the same key", "太多請求同時更改此物件，請以相同的鍵再試"), Retryable: true);

    // 413 and 415.
    public static readonly Error BodyTooLarge = new("body_too_large", 413,
        new("The body is too large", "請求內容過大"),
        new("the body may have at most {0} bytes", "請求內容最多 {0} 位元組"));
    public static readonly Error UnsupportedMediaType = new("unsupported_media_type", 415,
        new("The media type is not supported", "不支援的媒體類型"),
        new("send Content-Type: {0}", "請使用 Content-Type: {0}"));

    // 422: readable, but not acceptable.
    public static readonly Error ValidationFailed = new("validation_failed", 422,
        new("Several fields are not valid", "多個欄位無效"),
        new("{0} fields are not valid; see errors", "有 {0} 個欄位無效，請參閱 errors"));
    public static readonly Error FieldRequired = new("field_required", 422,
        new("A field is missing", "缺少欄位"),
        new("{param} is required", "必須提供 {param}"));
    public static readonly Error FieldInvalid = new("field_invalid", 422,
        new("A field is not valid", "欄位無效"),
        new("{param} must be {0}", "{param} 的內容不符合規定（{0}）"));
    public static readonly Error FieldTooLong = new("field_too_long", 422,
        new("A field is too long", "欄位過長"),
        new("{param} may have at most {0} characters", "{param} 最多 {0} 個字元"));
    public static readonly Error FieldUnknown = new("field_unknown", 422,
        new("A field is not known", "不認識的欄位"),
        new("{param} is not a field of this request", "{param} 不是此請求的欄位"));
    public static readonly Error AmountInvalid = new("amount_invalid", 422,
        new("The amount is not valid", "金額無效"),
        new("{param} must be a whole number of the currency's minor unit, such as 12800 for HK$128.00", "{param} 必須是以貨幣最小單位計算的整數，例如 12800 代表港幣 128.00 元"));
    public static readonly Error AmountTooSmall = new("amount_too_small", 422,
        new("Amount is below the minimum", "金額低於下限"),
        new("{param} must be at least {0} for {1}", "{1} 的 {param} 必須至少為 {0}"));
    public static readonly Error AmountTooLarge = new("amount_too_large", 422,
        new("Amount is above the maximum", "金額高於上限"),
        new("{param} must be at most {0} for {1}", "{1} 的 {param} 不可超過 {0}"));
    public static readonly Error CurrencyNotSupported = new("currency_not_supported", 422,
        new("The currency is not supported", "不支援此貨幣"),
        new("{param} must be one of {0}", "{param} 必須是 {0} 其中之一"));
    public static readonly Error PaymentMethodNotSupported = new("payment_method_not_supported", 422,
        new("The payment method is not supported", "不支援此付款方式"),
        new("{param} must be one of {0}", "{param} 必須是 {0} 其中之一"));
    public static readonly Error RawCardDataRefused = new("raw_card_data_refused", 422,
        new("Card data is not accepted here", "此處不接受信用卡資料"),
        new("{param} holds card data; send the provider's token of the card instead", "{param} 含有信用卡資料，請改用支付機構的權杖"));
    public static readonly Error UrlNotAllowed = new("url_not_allowed", 422,
        new("The URL cannot be sent to", "不可向此網址發送"),
        new("{param} {0}", "{param} 的網址不獲接納（{0}）"));
    public static readonly Error EventTypeUnknown = new("event_type_unknown", 422,
        new("The event type is not known", "不認識的事件類型"),
        new("{param} names {0}, which is neither an event type, nor a family such as charge.*, nor *", "{param} 中的 {0} 不是事件類型，也不是 charge.* 這樣的類別或 *"));
    public static readonly Error LimitExceeded = new("limit_exceeded", 422,
        new("A limit is reached", "已達上限"),
        new("at most {0} {1} are allowed", "最多只允許 {0} 個（{1}）"));
    public static readonly Error IdempotencyKeyReused = new("idempotency_key_reused", 422,
        new("The Idempotency-Key was used for another request", "Idempotency-Key 已用於另一個請求"),
        new("use a new key for a new request", "新的請求請使用新的鍵"));
    public static readonly Error InsufficientFunds = new("insufficient_funds", 422,
        new("The balance does not cover this", "餘額不足"),
        new("the available balance does not cover {0} {1}", "可用餘額不足以支付 {0} {1}"));
    public static readonly Error MandateOfOtherCustomer = new("mandate_of_other_customer", 422,
        new("The mandate is another customer's", "此授權屬於另一位客戶"),
        new("{param} must be the customer of the mandate, or left out", "{param} 必須是授權所屬的客戶，或不提供"));
    public static readonly Error RefundExceedsCaptured = new("refund_exceeds_captured", 422,
        new("The refund exceeds what is left", "退款超出可退金額"),
        new("at most {0} {1} can still be refunded", "最多尚可退款 {0} {1}"));
    public static readonly Error CaptureExceedsAuthorized = new("capture_exceeds_authorized", 422,
        new("The capture exceeds what is authorised", "請款超出已授權金額"),
        new("at most {0} {1} can still be captured", "最多尚可請款 {0} {1}"));

    // 429, 500, 503.
    public static readonly Error RateLimited = new("rate_limited", 429,
        new("Too many requests", "請求過於頻密"),
        new("this credential may send {0} requests a second; try again later", "此憑證每秒可發送 {0} 個請求，請稍後再試"), Retryable: true);
    public static readonly Error InternalError = new("internal_error", 500,
        new("Something went wrong on our side", "系統發生錯誤"),
        new("the request id finds this in our logs; the same key may be used again", "請以請求編號聯絡我們；可使用相同的鍵再試"), Retryable: true);
    public static readonly Error ProviderUnavailable = new("provider_unavailable", 503,
        new("The provider cannot be reached", "未能連接支付機構"),
        new("nothing was attempted and nothing is left behind; try again with the same key", "未有進行任何交易，請以相同的鍵再試"), Retryable: true);
    public static readonly Error StorageUnavailable = new("storage_unavailable", 503,
        new("Storage cannot be reached", "未能連接儲存系統"),
        new("what was asked may not have been done; try again with the same key, which never pays twice", "請求可能尚未完成，請以相同的鍵再試，不會重複付款"), Retryable: true);

    /// <summary>Every refusal of the catalogue, in its order.</summary>
    public static IReadOnlyList<Error> All { get; } =
        [.. typeof(Errors).GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => f.GetValue(null)).OfType<Error>()];

    private static readonly Dictionary<string, Error> ByCode = All.ToDictionary(e => e.Code, StringComparer.Ordinal);

    /// <summary>The refusal with this code; <see cref="ProviderRefused"/> when a provider's code is not in the catalogue.</summary>
    public static Error Decline(string code) => ByCode.TryGetValue(code, out var error) && error.Status == 402 ? error : ProviderRefused;

    /// <summary>Several refusals of fields as one answer; a single one is answered as itself.</summary>
    public static Error Of(IReadOnlyList<Error> fields) =>
        fields is [var only] ? only : ValidationFailed.With(fields.Count) with { Param = fields[0].Param, Inner = [.. fields] };
}
