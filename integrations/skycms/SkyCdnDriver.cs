// A CDN driver for SkyCMS that publishes through skycms-cdn. docs/SKYCMS.md says where to register it.
namespace Sky.Editor.Services.CDN
{
    using System;
    using System.Collections.Generic;
    using System.Linq;
    using System.Net;
    using System.Net.Http;
    using System.Net.Http.Headers;
    using System.Text;
    using System.Threading;
    using System.Threading.Tasks;
    using Microsoft.Extensions.Logging;
    using Newtonsoft.Json;

    /// <summary>
    /// What the row of settings holds.
    /// </summary>
    public class SkyCdnConfig
    {
        /// <summary>Where the service is, such as https://editor.example.com/cdn.</summary>
        public string Endpoint { get; set; }

        /// <summary>The site at the service; "default" unless it has several.</summary>
        public string Site { get; set; }

        /// <summary>A publish token of the site.</summary>
        public string Token { get; set; }
    }

    /// <summary>
    /// Tells skycms-cdn what was published. The service answers as soon as it has stored that, and calls CloudFront by
    /// itself, so an editor waits for milliseconds; should the service be away, for ten seconds at most.
    /// </summary>
    public class SkyCdnDriver : ICdnDriver
    {
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
        private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);
        private static readonly HttpClient Http = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };

        private readonly CdnSetting setting;
        private readonly ILogger logger;

        public SkyCdnDriver(CdnSetting setting, ILogger logger)
        {
            this.setting = setting;
            this.logger = logger;
        }

        public string ProviderName
        {
            get { return "SkyCdn"; }
        }

        public Task<List<CdnResult>> PurgeCdn()
        {
            return Publish(new { everything = true });
        }

        public Task<List<CdnResult>> PurgeCdn(List<string> purgeUrls)
        {
            // No list means everything to SkyCMS.
            if (purgeUrls == null || purgeUrls.Count == 0 || purgeUrls.Contains("/*"))
            {
                return PurgeCdn();
            }

            // The home page is a page here, and not the whole site.
            return Publish(new { paths = purgeUrls.Select(url => url == "/" ? "root" : url ?? string.Empty) });
        }

        private async Task<List<CdnResult>> Publish(object publish)
        {
            var result = new CdnResult
            {
                ProviderName = ProviderName,
                EstimatedFlushDateTime = DateTimeOffset.UtcNow,
            };

            // The same key for each try: however often it is sent, it is one publish.
            var key = Guid.NewGuid().ToString();
            result.ClientRequestId = key;
            var until = DateTimeOffset.UtcNow + Patience;
            using (var patience = new CancellationTokenSource(Patience))
            {
                try
                {
                    var config = JsonConvert.DeserializeObject<SkyCdnConfig>(setting.Value);
                    var body = JsonConvert.SerializeObject(publish);
                    while (true)
                    {
                        var pause = await Try(result, config, key, body, patience.Token).ConfigureAwait(false);
                        if (pause == null || DateTimeOffset.UtcNow + pause > until)
                        {
                            break;
                        }

                        await Task.Delay(pause.Value, patience.Token).ConfigureAwait(false);
                    }
                }
                catch (OperationCanceledException)
                {
                    result.Message = result.Message ?? "The CDN service did not answer within 10 seconds.";
                }
                catch (Exception error)
                {
                    result.Message = "The settings of skycms-cdn cannot be used: " + error.Message;
                }
            }

            if (!result.IsSuccessStatusCode)
            {
                if (result.Status == 0)
                {
                    result.Status = HttpStatusCode.ServiceUnavailable;
                }

                logger.LogError("skycms-cdn did not take a publish: {Message}", result.Message);
            }

            return new List<CdnResult> { result };
        }

        /// <summary>Sends it once. Returns how long to wait before it is sent again; null: not at all.</summary>
        private static async Task<TimeSpan?> Try(
            CdnResult result, SkyCdnConfig config, string key, string body, CancellationToken patience)
        {
            var site = string.IsNullOrEmpty(config.Site) ? "default" : config.Site;
            var address = config.Endpoint.TrimEnd('/') + "/api/sites/" + Uri.EscapeDataString(site) + "/publishes";
            using (var request = new HttpRequestMessage(HttpMethod.Post, address))
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", config.Token);
                request.Headers.Add("Idempotency-Key", key);
                request.Content = new StringContent(body, Encoding.UTF8, "application/json");
                HttpResponseMessage answer;
                try
                {
                    answer = await Http.SendAsync(request, patience).ConfigureAwait(false);
                }
                catch (HttpRequestException error)
                {
                    result.Message = error.GetBaseException().Message;
                    return Pause;
                }

                using (answer)
                {
                    result.Status = answer.StatusCode;
                    result.ReasonPhrase = answer.ReasonPhrase;
                    result.IsSuccessStatusCode = answer.StatusCode == HttpStatusCode.Accepted;
                    if (result.IsSuccessStatusCode)
                    {
                        result.Id = answer.Headers.Location?.OriginalString.Split('/').Last();
                        result.Message = "Stored as publish " + result.Id + ".";
                        return null;
                    }

                    result.Message = await answer.Content.ReadAsStringAsync().ConfigureAwait(false);
                    var passes = (int)answer.StatusCode == 429 || (int)answer.StatusCode >= 500;
                    return passes ? RetryAfter(answer) : (TimeSpan?)null;
                }
            }
        }

        private static TimeSpan RetryAfter(HttpResponseMessage answer)
        {
            var retryAfter = answer.Headers.RetryAfter;
            var pause = retryAfter?.Delta ?? retryAfter?.Date - DateTimeOffset.UtcNow ?? Pause;
            return pause < Pause ? Pause : pause;
        }
    }
}
