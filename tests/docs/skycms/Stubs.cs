// As much of SkyCMS and its libraries as its CDN drivers use.
namespace Microsoft.Extensions.Logging
{
    public interface ILogger
    {
    }

    public static class LoggerExtensions
    {
        public static void LogError(this ILogger logger, string message, params object[] arguments)
        {
            System.Console.Error.WriteLine(message + " " + string.Join(" ", arguments));
        }
    }
}

namespace Newtonsoft.Json
{
    using System.Text.RegularExpressions;

    public static class JsonConvert
    {
        // Texts without escapes are all that a row of settings holds.
        public static T DeserializeObject<T>(string json)
            where T : new()
        {
            var value = new T();
            foreach (Match field in Regex.Matches(json, "\"(\\w+)\"\\s*:\\s*\"([^\"\\\\]*)\""))
            {
                var property = typeof(T).GetProperty(field.Groups[1].Value);
                if (property != null)
                {
                    property.SetValue(value, field.Groups[2].Value);
                }
            }

            return value;
        }
    }
}

namespace Sky.Editor.Services.CDN
{
    using System;
    using System.Collections.Generic;
    using System.Net;
    using System.Threading.Tasks;

    public interface ICdnDriver
    {
        string ProviderName { get; }

        Task<List<CdnResult>> PurgeCdn(List<string> purgeUrls);

        Task<List<CdnResult>> PurgeCdn();
    }

    public class CdnSetting
    {
        public string Value { get; set; }
    }

    public class CdnResult
    {
        public string ProviderName { get; set; }

        public HttpStatusCode Status { get; set; }

        public string ReasonPhrase { get; set; }

        public string ClientRequestId { get; set; }

        public string Id { get; set; }

        public bool IsSuccessStatusCode { get; set; }

        public DateTimeOffset EstimatedFlushDateTime { get; set; }

        public string Message { get; set; }
    }
}
